"""The networks of ``keras.applications``, and a spec with the steps of their ``preprocess_input``.

The table needs no TensorFlow. A test compares it with Keras: the names, the sizes, and every family's function bit for
bit. RegNet and ResNetRS are in Keras 2 alone.
"""

from __future__ import annotations

import difflib
import enum
import re
from dataclasses import dataclass

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import (
    Colour,
    Interpolation,
    Normalize,
    PixelType,
    Resize,
    Scale,
    Step,
)
from export.errors import ExportError


class Mode(enum.Enum):
    """How ``preprocess_input`` maps 0..255, with Keras' names of the modes."""

    CAFFE = "caffe"  # BGR, less the mean of each channel
    TF = "tf"  # RGB, -1..1
    TORCH = "torch"  # RGB, 0..1, then mean and deviation of each channel
    RAW = "raw"  # RGB, 0..255: the network's first layers scale


VALUES: dict[Mode, tuple[ColourOrder, tuple[Step, ...]]] = {
    Mode.CAFFE: (ColourOrder.BGR, (Normalize((103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),)),
    Mode.TF: (ColourOrder.RGB, (Scale(127.5, -1.0),)),
    Mode.TORCH: (ColourOrder.RGB, (Scale(255.0, 0.0), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))),
    Mode.RAW: (ColourOrder.RGB, ()),
}
"""Channel order and scaling steps of each mode."""

_RESULT = {
    Interpolation.LINEAR: PixelType.FLOAT32,
    Interpolation.BICUBIC: PixelType.FLOAT32,
}
"""The type of a resize where it is not uint8: that of ``tf.image.resize``."""


@dataclass(frozen=True)
class KerasNetwork:
    """A network of ``keras.applications``.

    Attributes:
        family: the module that holds its ``preprocess_input``.
        side_px: width and height of its input, if none is given to Keras.
    """

    name: str
    family: str
    mode: Mode
    side_px: int


def _family(family: str, mode: Mode, sides: dict[str, int]) -> list[KerasNetwork]:
    return [KerasNetwork(name, family, mode, side) for name, side in sides.items()]


_B_SIDES = (224, 240, 260, 300, 380, 456, 528, 600)
_REGNETS = ("002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320")

NETWORKS: dict[str, KerasNetwork] = {
    network.name: network
    for network in (
        *_family("vgg16", Mode.CAFFE, {"VGG16": 224}),
        *_family("vgg19", Mode.CAFFE, {"VGG19": 224}),
        *_family("resnet", Mode.CAFFE, dict.fromkeys(("ResNet50", "ResNet101", "ResNet152"), 224)),
        *_family("resnet_v2", Mode.TF, dict.fromkeys(("ResNet50V2", "ResNet101V2", "ResNet152V2"), 224)),
        *_family("mobilenet", Mode.TF, {"MobileNet": 224}),
        *_family("mobilenet_v2", Mode.TF, {"MobileNetV2": 224}),
        *_family("mobilenet_v3", Mode.RAW, dict.fromkeys(("MobileNetV3Small", "MobileNetV3Large"), 224)),
        *_family("inception_v3", Mode.TF, {"InceptionV3": 299}),
        *_family("inception_resnet_v2", Mode.TF, {"InceptionResNetV2": 299}),
        *_family("xception", Mode.TF, {"Xception": 299}),
        *_family("nasnet", Mode.TF, {"NASNetMobile": 224, "NASNetLarge": 331}),
        *_family("densenet", Mode.TORCH, dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), 224)),
        *_family("efficientnet", Mode.RAW, {f"EfficientNetB{i}": side for i, side in enumerate(_B_SIDES)}),
        *_family("efficientnet_v2", Mode.RAW, {f"EfficientNetV2B{i}": side for i, side in enumerate(_B_SIDES[:4])}),
        *_family("efficientnet_v2", Mode.RAW, {f"EfficientNetV2{i}": 384 if i == "S" else 480 for i in "SML"}),
        *_family("convnext", Mode.RAW, {f"ConvNeXt{i}": 224 for i in ("Tiny", "Small", "Base", "Large", "XLarge")}),
        *_family("regnet", Mode.RAW, {f"RegNet{kind}{i}": 224 for kind in "XY" for i in _REGNETS}),
        *_family("resnet_rs", Mode.RAW, {f"ResNetRS{depth}": 224 for depth in (50, 101, 152, 200, 270, 350, 420)}),
    )
}


def find_network(name: str) -> KerasNetwork:
    """Return the network called ``name``, in capitals or not, with or without hyphens and underscores.

    The names of Keras' own models are known too, such as ``mobilenetv2_1.00_224``.

    Raises:
        ExportError: there is no such network; the message lists all names.
    """
    plain = {_plain(each): network for each, network in NETWORKS.items()}
    wanted = _plain(name)
    if wanted in plain:
        return plain[wanted]
    near = difflib.get_close_matches(wanted, plain, n=1)
    guess = f" The nearest is {plain[near[0]].name}." if near else ""
    raise ExportError(f"--like: found {name!r}, expected one of {', '.join(NETWORKS)}.{guess}")


def spec_like(
    network: KerasNetwork,
    *,
    size_px: tuple[int, int] | None = None,
    labels: tuple[str, ...] = ("negative", "positive"),
    positive: tuple[str, ...] | None = None,
    head: Head = Head.SOFTMAX,
    interpolation: Interpolation = Interpolation.LINEAR,
) -> ModelSpec:
    """Return a spec for a classifier that was fitted with a network's ``preprocess_input``.

    Args:
        network: an entry of :data:`NETWORKS`.
        size_px: width and height of its input; by default Keras' own.
        labels: in the order of the outputs.
        positive: by default the last label.
        head: how outputs become scores.
        interpolation: of the resize. The default is that of ``image_dataset_from_directory`` and ``tf.image.resize``.

    Raises:
        ExportError: the labels, the head or the size cannot be.
    """
    order, values = VALUES[network.mode]
    try:
        resize = Resize(
            *(size_px or (network.side_px, network.side_px)),
            interpolation,
            _RESULT.get(interpolation, PixelType.UINT8),
        )
        return ModelSpec(
            name=f"{network.name.lower()}-classifier",
            version="1.0.0",
            summary=f"Image: {', '.join(labels[:-1])} or {labels[-1]}.",
            steps=(Colour(order), resize, *values),
            labels=labels,
            positive=labels[-1:] if positive is None else positive,
            head=head,
            policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
        )
    except ValueError as error:
        raise ExportError(f"--like {network.name}: {error}") from None


def _plain(name: str) -> str:
    """Return a name in lower case, without module, width multiplier and size of a Keras model, and punctuation."""
    inner = re.sub(r"^.*applications\.(\w+\.)?", "", name.strip().lower())
    return re.sub(r"[^a-z0-9]", "", re.sub(r"_\d\.\d+_\d+$", "", inner))
