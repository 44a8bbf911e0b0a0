"""Ground truth of parity images: from the column ``label`` of a list, or from the names of the images' folders."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.region import split_name
from export.errors import CalibrationError
from export.source.calibration_images import Truth
from export.source.encoded_images import EncodedImage

_LOG = logging.getLogger(__name__)

_MOST_NAMES = 8
"""Largest number of folders that a message names."""


def truth_of(files: Sequence[EncodedImage], spec: ModelSpec) -> Truth | None:
    """Return the labels of images, or None if they are unknown; each image is a group.

    The label of a folder is the name of the nearest folder that is a label of the spec; case, spaces, hyphens and
    underscores do not matter. If only some images have a label, none is used, and a warning names the others' folders.

    Raises:
        CalibrationError: an image has two labels, or a list has a label that the spec does not have.
    """
    labels = [_label(file, spec) for file in files]
    if not files or None in labels:
        _explain(files, labels, spec)
        return None
    found = np.array(labels, np.int64)
    _check_once(files, found, spec)
    return Truth(found, np.array([f"{file.path}@{split_name(file.name)[1]}" for file in files]))


def _label(file: EncodedImage, spec: ModelSpec) -> int | None:
    """Return the index of an image's label, None if unknown."""
    names = {_plain(label): index for index, label in enumerate(spec.labels)}
    if len(names) < len(spec.labels):  # labels that differ in case alone
        names = {label: index for index, label in enumerate(spec.labels)}
    folders = (names.get(folder, names.get(_plain(folder))) for folder in _folders(file))
    by_folder = next((label for label in folders if label is not None), None)
    if not file.label:
        return by_folder
    by_list = names.get(file.label, names.get(_plain(file.label)))
    if by_list is None:
        raise CalibrationError(
            f"{file.name}: found the label {file.label!r}, expected one of {', '.join(spec.labels)}. Correct the list."
        )
    if by_folder not in (None, by_list):
        raise CalibrationError(
            f"{file.name}: found the label {file.label} in the list, and the folder of "
            f"{spec.labels[by_folder or 0]}, expected one label. Correct the list, or move the image."
        )
    return by_list


def _folders(file: EncodedImage) -> list[str]:
    """Return the names of the folders of an image up to the parity folder, the nearest first."""
    depth = len(Path(split_name(file.name)[0].replace("\\", "/")).parts)
    return [parent.name for parent in list(file.path.parents)[:depth]]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _explain(files: Sequence[EncodedImage], labels: Sequence[int | None], spec: ModelSpec) -> None:
    """Warn if folders look like labels but are not all labels of the spec."""
    others = Counter(file.path.parent.name for file, label in zip(files, labels, strict=True) if label is None)
    folders = {file.path.parent for file in files}
    if len(folders) < 2 or (len(folders) > _MOST_NAMES and all(label is None for label in labels)):
        return
    named = ", ".join(sorted(others)[:_MOST_NAMES])
    _LOG.warning(
        "parity: no labels are used. Found %d of %d images in folders that are no label (%s), expected folders %s.",
        *(others.total(), len(files), named, ", ".join(spec.labels)),
    )


def _check_once(files: Sequence[EncodedImage], labels: np.ndarray, spec: ModelSpec) -> None:
    """Refuse an image that occurs with two labels; warn of one that occurs twice with the same label."""
    seen: dict[tuple[str, str], int] = {}
    twice = 0
    for row, file in enumerate(files):
        content = file.sha256 or hashlib.sha256(file.path.read_bytes()).hexdigest()
        first = seen.setdefault((content, str(split_name(file.name)[1])), row)
        if labels[first] != labels[row]:
            raise CalibrationError(
                f"{file.name}: found the image {files[first].name} again (equal SHA-256), once as "
                f"{spec.labels[labels[first]]} and once as {spec.labels[labels[row]]}, expected one label. Remove the "
                "wrong one."
            )
        twice += first != row
    if twice:
        _LOG.warning("parity: %d of %d images occur a second time (equal SHA-256).", twice, len(files))
