"""The order of an image's channels."""

from __future__ import annotations

import enum


class ColourOrder(enum.Enum):
    """The order of the channel axis."""

    __hash__ = object.__hash__  # members are unique; Enum's own is a function in Python, called for every image
    GREY = "grey"
    RGB = "rgb"
    BGR = "bgr"
