"""A spec's steps against ``preprocess_input`` of keras.applications, bit for bit; and tables for int8 files."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications import imagenet_utils

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT, open_model
from edge_runtime.preprocessing.preprocessor import Preprocessor, look_up, preprocess
from edge_runtime.preprocessing.steps import (
    CentreCrop,
    Colour,
    Interpolation,
    Pad,
    PixelType,
    Resize,
    Step,
    Target,
)
from edge_runtime.serialisation.records import from_dict, to_dict
from export.source.keras_networks import NETWORKS, KerasNetwork, spec_like
from tests.system_4 import BUNDLE

FLOAT32 = PixelType.FLOAT32
FAMILIES = {network.family: network for network in NETWORKS.values() if hasattr(keras.applications, network.family)}
"""One network of each family that Keras 3 has."""


def _steps(network: KerasNetwork, interpolation: Interpolation) -> tuple[Step, ...]:
    """Return the steps as a user gets them: printed as JSON and read again."""
    return from_dict(ModelSpec, to_dict(spec_like(network, size_px=(40, 30), interpolation=interpolation))).steps


def _image() -> DecodedImage:
    return read(np.random.default_rng(3).integers(0, 256, (51, 67, 3), dtype=np.uint8))


def test_every_network_of_keras_is_known_with_its_family_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras is stopped where a network asks for its default size, so that none is built."""
    asked: list[int] = []

    def stop(*_: object, default_size: int, **__: object) -> None:
        asked.append(default_size)
        raise InterruptedError

    names = {name for name, value in vars(keras.applications).items() if callable(value) and name[0].isupper()}
    assert names | {n for n in NETWORKS if n.startswith(("RegNet", "ResNetRS"))} == NETWORKS.keys()
    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", stop)
    for name in sorted(names):
        if name.startswith("MobileNetV3"):
            continue  # takes any size, so it has none of its own, and its module does not hold it
        assert hasattr(getattr(keras.applications, NETWORKS[name].family), name)
        with pytest.raises(InterruptedError):
            getattr(keras.applications, name)(weights=None)
        assert asked.pop() == NETWORKS[name].side_px, name


@pytest.mark.parametrize("network", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("interpolation", Interpolation)
def test_the_spec_of_a_family_is_what_keras_does(network: KerasNetwork, interpolation: Interpolation) -> None:
    """The same bits for all 256 levels in each channel, and for whatever a float32 resize gives."""
    steps = _steps(network, interpolation)
    every = np.stack([np.arange(256), np.arange(256)[::-1], np.roll(np.arange(256), 99)], -1).astype(np.uint8)
    levels = np.ascontiguousarray(np.resize(every, (30, 40, 3)))
    for image in (_image(), read(levels, order=ColourOrder.RGB)):
        rgb = preprocess(image, (Colour(ColourOrder.RGB), steps[1]))
        expected = getattr(keras.applications, network.family).preprocess_input(rgb.copy())
        found = preprocess(image, steps)
        assert found.dtype == expected.dtype == np.float32
        assert np.array_equal(found, expected), f"worst {np.abs(found - expected).max()}"


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(224, 224), (40, 30), (31, 64)])
def test_cropping_and_padding_to_the_aspect_ratio_are_kerass(size: tuple[int, int], method: str) -> None:
    """What image_dataset_from_directory does with crop_to_aspect_ratio and pad_to_aspect_ratio."""
    width, height = size
    resize = Resize(width, height, {"bilinear": Interpolation.LINEAR}.get(method, Interpolation.BICUBIC), FLOAT32)
    for shape in ((51, 67), (67, 51), (200, 31), (40, 40), (101, 350)):
        pixels = np.random.default_rng(shape).integers(0, 256, (*shape, 3), dtype=np.uint8)
        image, floating = read(pixels, order=ColourOrder.RGB), pixels.astype(np.float32)
        for option, step in (
            ("crop_to_aspect_ratio", CentreCrop(width, height, Target.ASPECT_RATIO)),
            ("pad_to_aspect_ratio", Pad(width, height, Target.ASPECT_RATIO, 0.0)),
        ):
            resized = keras.ops.image.resize(floating, (height, width), interpolation=method, **{option: True})
            expected = np.asarray(resized)
            found = preprocess(image, (Colour(ColourOrder.RGB), step, resize))
            assert np.array_equal(found, expected), f"{shape} {option}: worst {np.abs(found - expected).max()}"


def test_a_centre_crop_is_the_layer_center_crop() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (51, 68, 3), dtype=np.uint8)
    expected = np.asarray(keras.layers.CenterCrop(24, 33)(pixels[np.newaxis].astype(np.float32)))[0]
    steps = (Colour(ColourOrder.RGB), CentreCrop(33, 24, Target.PIXELS))
    assert np.array_equal(preprocess(read(pixels, order=ColourOrder.RGB), steps), expected)


@pytest.mark.parametrize("runtime", [Runtime.LITERT, Runtime.ONNXRUNTIME])
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("family", ["vgg16", "densenet"])
def test_a_table_of_each_channel_is_quantising_every_pixel(runtime: Runtime, precision: str, family: str) -> None:
    """The bundle's network is another one; what counts is that both ways give it the same input, and so the bits."""
    backend = open_model(
        (Path(find(BUNDLE).where) / f"model.{precision}.{FORMAT[runtime].value}").read_bytes(), runtime
    )
    preprocessor = Preprocessor(_steps(FAMILIES[family], Interpolation.LINEAR_EXACT))
    assert preprocessor.values is not None
    levels = np.random.default_rng(4).integers(0, 256, (3, 50, 50, 3), dtype=np.uint8)
    flipped = levels[..., ::-1] if family == "vgg16" else levels
    tensors = getattr(keras.applications, family).preprocess_input(flipped.astype(np.float32))
    taken = look_up(levels, backend.quantise(preprocessor.values))
    assert taken.dtype == backend.quantise(tensors).dtype
    assert np.array_equal(taken, backend.quantise(tensors))
    assert np.array_equal(backend.run(taken), backend.run(np.ascontiguousarray(tensors)))
