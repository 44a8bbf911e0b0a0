"""The images that the arguments of the command line name."""

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
    """The images and left-out files that the arguments name.

    Attributes:
        images: each image path, and a failure for each folder without images or that cannot be listed, in order.
        left_out: the other files in the folders.
    """

    images: tuple[str | Failure, ...]
    left_out: tuple[LeftOut, ...] = ()


def named(arguments: Iterable[str]) -> NamedImages:
    """Return the file arguments unchanged, and the images and other files of each folder argument."""
    images: list[str | Failure] = []
    left_out: list[LeftOut] = []
    for argument in arguments:
        if os.path.isdir(argument):
            folder = _in_folder(argument)
            images += folder.images
            left_out += folder.left_out
        else:
            images.append(argument)
    return NamedImages(tuple(images), tuple(left_out))


def _in_folder(folder: str) -> NamedImages:
    from edge_runtime.images.discovery import folder_error, look_into  # imported here: one image needs none

    found = look_into(folder)
    images: list[str | Failure] = [image.path for image in found.images]
    images += [Failure(str(error.filename), folder_error(error)) for error in found.unreadable]
    if not images:
        message = (
            f"{folder}: found a folder without images, expected PNG, JPEG, TIFF, BMP, PNM or WebP files (by content). "
            "Check the folder."
        )
        images.append(Failure(folder, ImageNotFoundError(message, code="folder_without_images")))
    return NamedImages(tuple(images), found.left_out)
