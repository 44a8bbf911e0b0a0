"""The images that the arguments of the command line name: files, folders and zipped studies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_runtime.errors import ImageNotFoundError
from edge_runtime.images.formats import HEAD_BYTES, begins_as_image
from edge_runtime.inference.prediction import Failure
from edge_runtime.serialisation.frozen import dataclass

if TYPE_CHECKING:
    from edge_runtime.bundle.spec import ModelSpec
    from edge_runtime.dicom.study import StudyItem
    from edge_runtime.images.left_out import LeftOut


@dataclass(frozen=True)
class NamedImages:
    """The images and left-out files that the arguments name.

    Attributes:
        images: each image, and a failure for each folder without images or that cannot be listed, in order.
        left_out: the other files in the folders and zips.
    """

    images: tuple[str | StudyItem | Failure, ...]
    left_out: tuple[LeftOut, ...] = ()


def named(arguments: Sequence[str], spec: ModelSpec) -> NamedImages:
    """Return the file arguments, and the images and other files of each folder and zip argument.

    For a model that accepts DICOM, the objects of a study are sorted: images are classified, presentation states and
    reports mark regions, anything else is left out.
    """
    if spec.dicom is not None and not (spec.region is None and all(map(_is_image_file, arguments))):
        from edge_runtime.cli.study import study_images  # imported here: other models and plain images need none

        return study_images(arguments, spec)
    images: list[str | StudyItem | Failure] = []
    left_out: list[LeftOut] = []
    for argument in arguments:
        if os.path.isdir(argument):
            folder = in_folder(argument)
            images += folder.images
            left_out += folder.left_out
        else:
            images.append(argument)
    return NamedImages(tuple(images), tuple(left_out))


def _is_image_file(path: str) -> bool:
    """Return whether a path is a regular file whose first bytes are those of an image, so it is no part of a study."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return begins_as_image(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return False


def in_folder(folder: str, *, dicom: bool = False) -> NamedImages:
    """Return the images of a folder; ``dicom``: whether DICOM files count as images."""
    from edge_runtime.images.discovery import folder_error, look_into  # imported here: one image needs none

    found = look_into(folder, dicom=dicom)
    images: list[str | StudyItem | Failure] = [image.path for image in found.images]
    images += [Failure(str(error.filename), folder_error(error)) for error in found.unreadable]
    if not images:
        images.append(without_images(folder))
    return NamedImages(tuple(images), found.left_out)


def without_images(folder: str) -> Failure:
    """Return the failure of a folder or zip without images."""
    message = (
        f"{folder}: found a folder without images, expected PNG, JPEG, TIFF, BMP, PNM or WebP files (by content). "
        "Check the folder."
    )
    return Failure(folder, ImageNotFoundError(message, code="folder_without_images"))
