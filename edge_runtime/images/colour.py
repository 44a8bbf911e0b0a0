"""The order of an image's channels."""

from __future__ import annotations

import enum


class ColourOrder(enum.Enum):
    """The order of the channel axis."""

    GREY = "grey"
    RGB = "rgb"
    BGR = "bgr"
