"""The images that int8 ranges are measured on, through the spec's own steps, in a pinned order.

A calibration folder holds either images, or ``samples.csv``, which names files of a published data set
(:mod:`export.source.encoded_images`). Memory does not grow with the folder: a stated sample of it is prepared.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
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
from export.source.encoded_images import LIST, EncodedImage, listed, spread

_LOG = logging.getLogger(__name__)

FEWEST = 32
"""Fewer images leave the tails of the activations unseen; converters would accept a single one."""

CALIBRATION_MIB = 256
"""Calibration tensors in memory: 446 of 224×224×3, 85 of 512×512×3. A converter holds its own copy beside them."""


@dataclass(frozen=True)
class Truth:
    """What is known of images: labels, int64 N (index into the spec's), and groups, str N."""

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class PreparedImages:
    """Prepared images, float32 N×H×W×C, one line that says which they are, and the truth if it is known.

    Attributes:
        files: what they were read from, for other steps to be tried; empty where that is not known.
    """

    tensors: npt.NDArray[np.float32]
    source: str
    truth: Truth | None = None
    files: tuple[EncodedImage, ...] = ()


def load_calibration(folder: Path, data: Path | None, spec: ModelSpec) -> PreparedImages:
    """Read and prepare the calibration images of ``folder``, or a sample of :data:`CALIBRATION_MIB`.

    Args:
        folder: or a list itself.
        data: where the published data set lies, if the folder holds a ``samples.csv``.

    Raises:
        CalibrationError: too few images, or any that is missing, altered or refused by the runtime.
    """
    named = folder if folder.is_file() else folder / LIST
    if named.is_file():
        if data is None:
            raise CalibrationError(f"{named} names files of a published data set; say where it lies with --data DIR.")
        files = listed(named, data)
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
    chosen, how = sample(files, spec, CALIBRATION_MIB, role="calibration")
    told = f"{len(chosen)} of {len(files)} {source} ({how})" if how else f"{len(files)} of {source.removeprefix('of ')}"
    return PreparedImages(preprocess_all(chosen, spec), told)


def files_below(folder: Path, role: str) -> list[EncodedImage]:
    """Return the images below a folder, in order of their paths; see :func:`images_in`."""
    return [EncodedImage(str(path.relative_to(folder)), path) for path in images_in(folder, role)]


def images_in(folder: Path, role: str) -> list[Path]:
    """Return the images in ``folder`` and below it, in order of their names; see :func:`left_out_of` for the rest.

    Args:
        role: what the images are for, one word for the message.

    Raises:
        ImageUnreadableError: ``folder_unreadable``, because the images in it would be missing without a word.
        CalibrationError: one has an image's ending and is no regular file; it is named.
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
    """Return what a calibration or parity folder holds beside its images; nothing where a list names these."""
    return () if (folder / LIST).is_file() or not folder.is_dir() else look_into(folder).left_out


def sample(files: list[EncodedImage], spec: ModelSpec, most_mib: int, *, role: str) -> tuple[list[EncodedImage], str]:
    """Return as many files as ``most_mib`` of tensors hold, :data:`FEWEST` at least, and in words how they were chosen.

    A sample is told on the log; where all files are taken, there are no words.

    Args:
        role: what the images are for, one word.
    """
    width, height = spec.size_px
    each = width * height * spec.channels * np.dtype(np.float32).itemsize
    chosen = spread(files, max(FEWEST, (most_mib << 20) // each))
    if len(chosen) == len(files):
        return chosen, ""
    how = f"spread evenly over their names; {-(-len(chosen) * each >> 20)} MiB of tensors"
    _LOG.warning("%s: %d of %d images are used, %s.", role, len(chosen), len(files), how)
    return chosen, how


def preprocess_all(
    files: Sequence[EncodedImage], spec: ModelSpec, *, role: str = "calibration"
) -> npt.NDArray[np.float32]:
    """Read and prepare images one by one to float32 N×H×W×C.

    Args:
        files: where a name ends with a region, that is cut out of the file.
        role: what the images are for, one word for the message.

    Raises:
        CalibrationError: the runtime refuses one, or a name has a region and the spec no rule for it, or the other way
            round; it is named.
    """
    width, height = spec.size_px
    tensors = np.empty((len(files), height, width, spec.channels), np.float32)
    try:
        for tensor, file in zip(tensors, files, strict=True):
            tensor[...] = preprocess(_image(file, spec), spec.steps)
    except ImageError as error:
        raise CalibrationError(f"{role} image refused: {error.message} Remove or replace it.") from None
    return tensors


def _image(file: EncodedImage, spec: ModelSpec) -> DecodedImage:
    name, region = split_name(file.name)
    try:
        return cut(read(file.read(), min_side_px=spec.min_side_px, name=name), region, spec.region)
    except RegionError as error:
        remedy = f"A list ({LIST}) names regions as file@x,y,radius."
        raise CalibrationError(f"{file.name}: {error.message} {remedy}") from None
