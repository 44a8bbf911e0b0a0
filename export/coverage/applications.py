"""Every network of ``keras.applications``, with random weights and the smallest image that it allows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from export.coverage.subject import Subject

GROUP = "keras.applications"

_OWN_SCALING = ("EfficientNet", "ConvNeXt", "MobileNetV3")
"""Families that take 0..255 and scale in their first layers."""

_SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
"""Smallest sides in pixels of networks that refuse 32."""

NAMES = (
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0"),
    *("DenseNet121", "ResNet50", "ResNet50V2", "NASNetMobile", "ConvNeXtTiny", "Xception", "InceptionV3", "VGG16"),
    *("EfficientNetB1", "EfficientNetB2", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
    *("DenseNet169", "DenseNet201", "EfficientNetB3", "EfficientNetB4", "VGG19", "EfficientNetV2S"),
    *("InceptionResNetV2", "ResNet101", "ResNet101V2", "ConvNeXtSmall", "ResNet152", "ResNet152V2"),
    *("EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2M", "EfficientNetV2L", "NASNetLarge"),
    *("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"),
)
"""All of them: first one of each family, then by size. A test compares them with ``dir(keras.applications)``."""


def subjects() -> Iterator[Subject]:
    """Yield a subject for each network."""
    for name in NAMES:
        side = _SIDES.get(name, 32)
        build = partial(_build, name, side)
        yield Subject(name, GROUP, build, side=side, scaled=not name.startswith(_OWN_SCALING))


def _build(name: str, side: int) -> Any:
    import keras

    return getattr(keras.applications, name)(weights=None, classes=2, input_shape=(side, side, 3))
