"""The calibration images for int8 ranges, preprocessed with the spec's steps, in a fixed order.

A calibration folder contains either images or ``samples.csv``, which lists files of a published data set
(:mod:`export.source.encoded_images`). Of a large folder, only a sample is preprocessed. Tensors are stored in a file
and read a few at a time (:mod:`export.source.stored_tensors`), so memory does not depend on the folder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError, RegionError
from edge_runtime.images.discovery import folder_error, look_into
from edge_runtime.images.left_out import LeftOut
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import cut, split_name
from edge_runtime.preprocessing.preprocessor import preprocess
from export.errors import CalibrationError
from export.source.encoded_images import LIST, EncodedImage, list_in, listed, spread
from export.source.stored_tensors import StoredTensors, Tensors, store

_LOG = logging.getLogger(__name__)

FEWEST = 32
"""Fewer images do not cover the tails of the activations. Converters themselves accept a single image."""

CALIBRATION_MIB = 256
"""Limit of the calibration tensors, which are stored in a file: 446 of 224×224×3, or 85 of 512×512×3."""


@dataclass(frozen=True)
class Reading:
    """How images are read for one export.

    Attributes:
        scratch: folder for the file of tensors; None for a temporary file.
        most: largest number of images that are read, for a preview; None for no further limit.
        most_mib: limit of their tensors, likewise.
    """

    scratch: Path | None = None
    most: int | None = None
    most_mib: int | None = None

    def count(self, images: int, spec: ModelSpec) -> int:
        """Return how many of ``images`` images are read."""
        fewer = images if self.most is None else min(images, self.most)
        if self.most_mib is None:
            return fewer
        return min(fewer, max(FEWEST, (self.most_mib << 20) // tensor_bytes(spec)))

    def path(self, name: str) -> Path | None:
        """Return the path of a file of tensors."""
        return None if self.scratch is None else self.scratch / f"{name}.npy"


@dataclass(frozen=True)
class Truth:
    """Ground truth of N images: labels (int64 N, index into the spec's labels) and groups (str N)."""

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class PreparedImages:
    """Preprocessed images (float32 N×H×W×C), a one-line description of them, and their ground truth if known.

    Attributes:
        files: the encoded images, so that other steps can be tried; empty if not known.
        warnings: what the images show against the model or its spec, a sentence or more each.
        of: number of images that an export without a limit uses; 0 if these are all.
    """

    tensors: Tensors
    source: str
    truth: Truth | None = None
    files: tuple[EncodedImage, ...] = ()
    warnings: tuple[str, ...] = ()
    of: int = 0


def load_calibration(
    folder: Path, data: Path | None, spec: ModelSpec, reading: Reading | None = None
) -> PreparedImages:
    """Read and preprocess the calibration images of ``folder``, or a sample of at most :data:`CALIBRATION_MIB`.

    Args:
        folder: folder of images, folder with a ``samples.csv``, or the list file itself.
        data: folder of the published data set; required with a ``samples.csv``.
        reading: where tensors are stored, and further limits.

    Raises:
        CalibrationError: there are too few images, or one is missing, altered or rejected by the runtime.
    """
    named = list_in(folder)
    if named is not None:
        files = files_of(named, data)
        source = f"of {named.absolute().parent.name}/{named.name}"
    elif folder.is_dir():
        files = files_below(folder, "calibration")
        source = f"images in {folder.name}"
    else:
        raise CalibrationError(f"{folder}: found no folder, expected images or {LIST}.")
    if len(files) < FEWEST:
        raise CalibrationError(
            f"{folder}: found {len(files)} images, expected {FEWEST} or more. Add images that the model "
            "will meet, from training patients alone."
        )
    reading = reading or Reading()
    chosen, how = sample(files, spec, CALIBRATION_MIB, role="calibration")
    text = f"{len(chosen)} of {len(files)} {source} ({how})" if how else f"{len(files)} of {source.removeprefix('of ')}"
    used = spread(chosen, reading.count(len(chosen), spec))
    tensors = preprocess_all(used, spec, path=reading.path("calibration"))
    return PreparedImages(tensors, text, of=len(chosen))


def files_of(named: Path, data: Path | None) -> list[EncodedImage]:
    """Return the files that a list names in the published data set ``data``; see :func:`listed`.

    Raises:
        CalibrationError: ``data`` is None, or as :func:`listed`.
    """
    if data is None:
        raise CalibrationError(f"{named} names files of a published data set; give its folder with --data DIR.")
    return listed(named, data)


def files_below(folder: Path, role: str) -> list[EncodedImage]:
    """Return the images in a folder and its subfolders, sorted by path; see :func:`images_in`."""
    return [EncodedImage(str(path.relative_to(folder)), path) for path in images_in(folder, role)]


def images_in(folder: Path, role: str) -> list[Path]:
    """Return the images in ``folder`` and its subfolders, sorted by name; see :func:`left_out_of` for other files.

    Args:
        role: purpose of the images, one word for the error message.

    Raises:
        ImageUnreadableError: ``folder_unreadable``; otherwise its images would be missing without notice.
        CalibrationError: a path with an image suffix is not a regular file; the message names it.
    """
    found = look_into(folder)
    if found.unreadable:
        raise folder_error(found.unreadable[0])
    for image in found.images:
        if image.size_bytes is None:
            raise CalibrationError(
                f"{role} image refused: {image.path}: found a link to nothing or no regular file, expected an image. "
                "Remove or replace it."
            )
    return [Path(image.path) for image in found.images]


def left_out_of(folder: Path) -> tuple[LeftOut, ...]:
    """Return the files of a calibration or parity folder that are not images; empty if a list names the images."""
    return () if list_in(folder) is not None or not folder.is_dir() else look_into(folder).left_out


def sample(files: list[EncodedImage], spec: ModelSpec, most_mib: int, *, role: str) -> tuple[list[EncodedImage], str]:
    """Return as many files as fit into ``most_mib`` of tensors (at least :data:`FEWEST`) and how they were chosen.

    The description is empty if all files are used. Otherwise it is also logged as a warning.

    Args:
        role: purpose of the images, one word.
    """
    each = tensor_bytes(spec)
    chosen = spread(files, max(FEWEST, (most_mib << 20) // each))
    if len(chosen) == len(files):
        return chosen, ""
    how = f"spread evenly over their names; {-(-len(chosen) * each >> 20)} MiB of tensors"
    _LOG.warning("%s: %d of %d images are used, %s.", role, len(chosen), len(files), how)
    return chosen, how


def tensor_bytes(spec: ModelSpec) -> int:
    """Return the size of one preprocessed image in memory, in bytes."""
    width, height = spec.size_px
    return width * height * spec.channels * np.dtype(np.float32).itemsize


def preprocess_all(
    files: Sequence[EncodedImage], spec: ModelSpec, *, role: str = "calibration", path: Path | None = None
) -> StoredTensors:
    """Read and preprocess images one by one into a file; return its tensors, float32 N×H×W×C.

    Args:
        files: if a name ends with a region, that region is cut out of the image.
        role: purpose of the images, one word for the error message.
        path: the file to write; None for a temporary one.

    Raises:
        CalibrationError: the runtime rejects an image, or only one of its name and the spec has a region; the message
            names the image.
    """
    width, height = spec.size_px

    def rows() -> Iterator[npt.NDArray[np.float32]]:
        for file in files:
            try:
                yield preprocess(_image(file, spec), spec.steps)
            except ImageError as error:
                raise CalibrationError(f"{role} image refused: {error.message} Remove or replace it.") from None

    return store(rows(), (height, width, spec.channels), path)


def _image(file: EncodedImage, spec: ModelSpec) -> DecodedImage:
    name, region = split_name(file.name)
    try:
        return cut(read(file.read(), min_side_px=spec.min_side_px, name=name), region, spec.region)
    except RegionError as error:
        remedy = f"A list ({LIST}) names regions as file@x,y,radius."
        raise CalibrationError(f"{file.name}: {error.message} {remedy}") from None
