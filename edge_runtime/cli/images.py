"""From what the command line names to images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import ImageNotFoundError
from edge_runtime.inference.prediction import Failure

if TYPE_CHECKING:
    from edge_runtime.images.left_out import LeftOut


@dataclass(frozen=True)
class NamedImages:
    """What the command line names.

    Attributes:
        images: each path to answer, and each folder that has no image or cannot be listed, in order.
        left_out: what the folders hold beside them.
    """

    images: tuple[str | Failure, ...]
    left_out: tuple[LeftOut, ...] = ()


def named(arguments: Iterable[str]) -> NamedImages:
    """Return the files among ``arguments`` as they are, and for each folder what it holds."""
    images: list[str | Failure] = []
    left_out: list[LeftOut] = []
    for argument in arguments:
        if os.path.isdir(argument):
            found = _in_folder(argument)
            images += found.images
            left_out += found.left_out
        else:
            images.append(argument)
    return NamedImages(tuple(images), tuple(left_out))


def _in_folder(folder: str) -> NamedImages:
    from edge_runtime.images.discovery import folder_error, look_into  # here: one image starts without them

    found = look_into(folder)
    images: list[str | Failure] = [image.path for image in found.images]
    images += [Failure(str(error.filename), folder_error(error)) for error in found.unreadable]
    if not images:
        message = (
            f"{folder}: found a folder without images, expected files that are PNG, JPEG, TIFF, BMP, PNM or WebP by "
            "content. Check the folder."
        )
        images.append(Failure(folder, ImageNotFoundError(message, code="folder_without_images")))
    return NamedImages(tuple(images), found.left_out)
