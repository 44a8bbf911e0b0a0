"""The pictures that int8 ranges are measured on, through the spec's own steps, in a pinned order.

A calibration folder holds either pictures, or ``samples.csv`` with lines ``name,sha256`` that name files
of a published data set, which then lies elsewhere. A name may end with ``@x,y,radius``: a region of that file, and the
SHA-256 of the whole file.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.discovery import folder_error, look_into
from edge_runtime.errors import ImageError, RegionError
from edge_runtime.imaging import Picture, read
from edge_runtime.left_out import LeftOut
from edge_runtime.preprocessing import prepare
from edge_runtime.region import cut, split_name
from edge_runtime.spec import ModelSpec
from export.errors import CalibrationError

FEWEST = 32
"""Fewer pictures leave the tails of the activations unseen; converters would accept a single one."""

LIST = "samples.csv"


@dataclass(frozen=True)
class Truth:
    """What is known of pictures: labels, int64 N (index into the spec's), and groups, str N."""

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures, float32 N×H×W×C, one line that says which they are, and the truth if it is known."""

    tensors: npt.NDArray[np.float32]
    source: str
    truth: Truth | None = None


def load_calibration(folder: Path, data: Path | None, spec: ModelSpec) -> Pictures:
    """Read and prepare the calibration pictures of ``folder``.

    Args:
        data: where the published data set lies, if the folder holds a ``samples.csv``.

    Raises:
        CalibrationError: too few pictures, or any that is missing, altered or refused by the runtime.
    """
    listed = folder / LIST
    if listed.is_file():
        if data is None:
            raise CalibrationError(f"{listed} names files of a published data set; say where it lies with --data DIR.")
        blobs = _listed(listed, data)
        source = f"{listed.parent.name}/{LIST}"
    elif folder.is_dir():
        blobs = [(path.name, path.read_bytes()) for path in images_in(folder, "calibration")]
        source = f"pictures in {folder.name}"
    else:
        raise CalibrationError(f"{folder}: found no folder, expected pictures or {LIST}.")
    if len(blobs) < FEWEST:
        raise CalibrationError(
            f"{folder}: found {len(blobs)} pictures, expected {FEWEST} or more. Add pictures that the model "
            "will meet, from training patients alone."
        )
    return Pictures(prepare_all(blobs, spec), f"{len(blobs)} of {source}")


def prepare_all(
    blobs: Iterable[tuple[str, bytes]], spec: ModelSpec, *, role: str = "calibration"
) -> npt.NDArray[np.float32]:
    """Prepare encoded pictures (name, bytes) to float32 N×H×W×C.

    Args:
        blobs: name and bytes of a whole file; where the name ends with a region, that is cut out of it.
        role: what the pictures are for, one word for the message.

    Raises:
        CalibrationError: the runtime refuses one, or a name has a region and the spec no rule for it, or the other way
            round; it is named.
    """
    try:
        return np.stack([prepare(_picture(name, blob, spec), spec.steps) for name, blob in blobs])
    except ImageError as error:
        raise CalibrationError(f"{role} picture refused: {error.message} Remove or replace it.") from None


def _picture(name: str, blob: bytes, spec: ModelSpec) -> Picture:
    file, region = split_name(name)
    try:
        return cut(read(blob, min_side_px=spec.min_side_px, name=file), region, spec.region)
    except RegionError as error:
        remedy = f"A list ({LIST}) names regions as file@x,y,radius."
        raise CalibrationError(f"{name}: {error.message} {remedy}") from None


def _listed(listed: Path, data: Path) -> list[tuple[str, bytes]]:
    """Read the named files and compare their SHA-256."""
    with listed.open(encoding="utf-8", newline="") as lines:
        rows = [(row.get("name") or "", row.get("sha256") or "") for row in csv.DictReader(lines)]
    found, path, blob = [], Path(), b""
    for name, sha256 in rows:
        wanted = _below(data, split_name(name)[0])
        if wanted != path:  # regions of one file follow each other and share its bytes
            path, blob = wanted, wanted.read_bytes()
        if hashlib.sha256(blob).hexdigest() != sha256:
            raise CalibrationError(f"{path}: not the file that {listed} names (SHA-256 differs). Unpack it again.")
        found.append((name, blob))
    return found


def _below(data: Path, name: str) -> Path:
    """Find ``name`` in the published folder, or in the folder that holds it."""
    candidates = [data / name, *(child / name for child in sorted(data.glob("*")) if child.is_dir())]
    for path in candidates:
        if path.is_file():
            return path
    raise CalibrationError(f"{data}: found no {name}, which the calibration list names. Is this the right data set?")


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
                f"{role} picture refused: {image.path}: found a link to nothing or no regular file, expected an image. "
                "Remove or replace it."
            )
    return [Path(image.path) for image in found.images]


def left_out_of(folder: Path) -> tuple[LeftOut, ...]:
    """Return what a calibration or parity folder holds beside its images; nothing where a list names these."""
    return () if (folder / LIST).is_file() or not folder.is_dir() else look_into(folder).left_out
