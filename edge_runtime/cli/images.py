"""The images that the arguments of the command line name: files, folders and zipped studies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from edge_runtime.errors import ImageNotFoundError
from edge_runtime.images.formats import HEAD_BYTES, begins_as_image
from edge_runtime.inference.prediction import Failure
from edge_runtime.serialisation.frozen import dataclass

if TYPE_CHECKING:
    from edge_runtime.bundle.spec import ModelSpec
    from edge_runtime.dicom.study import StudyItem
    from edge_runtime.images.left_out import LeftOut

AT_ONCE = 256
"""Files that are listed before the first of them is classified. Listing one between two images slows both down."""


@dataclass(frozen=True, eq=False)
class NamedImages:
    """The images and left-out files that the arguments name.

    Attributes:
        images: each image, and a failure for each folder without images or that cannot be listed, in order. Folders
            may be listed while it is read.
        left_out: the other files in the folders and zips, once ``images`` was read to its end.
    """

    images: Iterable[str | StudyItem | Failure]
    left_out: Sequence[LeftOut] = ()


def named(arguments: Sequence[str], spec: ModelSpec) -> NamedImages:
    """Return the file arguments, and the images and other files of each folder and zip argument.

    For a model that accepts DICOM, the objects of a study are sorted: images are classified, presentation states and
    reports mark regions, anything else is left out.
    """
    if spec.dicom is not None and not (spec.region is None and all(map(_is_image_file, arguments))):
        from edge_runtime.cli.study import study_images  # imported here: other models and plain images need none

        return study_images(arguments, spec)
    left_out: list[LeftOut] = []
    return NamedImages(_each(arguments, left_out), left_out)


def _each(arguments: Sequence[str], left_out: list[LeftOut]) -> Iterator[str | Failure]:
    for argument in arguments:
        if os.path.isdir(argument):
            yield from in_folder(argument, left_out)
        else:
            yield argument


def _is_image_file(path: str) -> bool:
    """Return whether a path is a regular file whose first bytes are those of an image, so it is no part of a study."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return begins_as_image(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return False


def in_folder(folder: str, left_out: list[LeftOut], *, dicom: bool = False) -> Iterator[str | Failure]:
    """Yield the images of a folder while it is listed, then a failure for each folder that cannot be.

    Args:
        folder: path of the folder.
        left_out: gets the files that are left out.
        dicom: whether DICOM files count as images.
    """
    from edge_runtime.images.discovery import ImageFile, folder_error, walk  # imported here: one image needs none
    from edge_runtime.images.left_out import LeftOut

    is_empty, unreadable, entries = True, {}, walk(folder, dicom=dicom)
    while some := tuple(islice(entries, AT_ONCE)):
        for entry in some:
            if isinstance(entry, ImageFile):
                is_empty = False
                yield entry.path
            elif isinstance(entry, LeftOut):
                left_out.append(entry)
            else:
                unreadable[str(entry.filename)] = entry
    yield from (Failure(name, folder_error(error)) for name, error in unreadable.items())
    if is_empty and not unreadable:
        yield without_images(folder)


def without_images(folder: str) -> Failure:
    """Return the failure of a folder or zip without images."""
    message = (
        f"{folder}: found a folder without images, expected PNG, JPEG, TIFF, BMP, PNM or WebP files (by content). "
        "Check the folder."
    )
    return Failure(folder, ImageNotFoundError(message, code="folder_without_images"))
