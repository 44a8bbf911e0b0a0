"""Read a model made elsewhere and images for it, fit it to int8, and write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.images.discovery import folder_error, look_into
from edge_runtime.images.reader import read
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.serialisation.records import from_json
from training.errors import ArtifactError, DatasetError
from training.fitting.int8_fit import fit_to_int8
from training.networks.keras_model import load_model

FEWEST = 32
MOST_MIB = 256
"""Limit of the tensors in memory: 446 of 224×224×3. Of a larger folder, images at equal distances in the list of sorted
names are used."""


@dataclass(frozen=True)
class SettledFile:
    """Simulated int8 error of a model before and after the fit, mean |Δ output|, and the number of images."""

    before: float
    after: float
    images: int


def settle_file(
    model: Path, spec: Path, data: Path, out: Path, *, epochs: int, tell: Callable[[int, float], None]
) -> SettledFile:
    """Fit ``model`` to int8 on the images of ``data`` and write the result to ``out``.

    Raises:
        ArtifactError: ``out`` exists, is no .keras file, or Keras cannot read the model.
        DatasetError: there are too few images, or the runtime rejects one.
        ManifestError: the spec is invalid.
    """
    if out.exists() or out.suffix != ".keras":
        raise ArtifactError(f"{out}: expected the path of a new .keras file. Choose another --out.")
    if not spec.is_file():
        raise ArtifactError(f"{spec}: found no file, expected the spec of the model in JSON. Correct --spec.")
    known = from_json(ModelSpec, spec.read_bytes(), str(spec))
    opened = load_model(model)
    images = _images(data, known)
    found = fit_to_int8(opened, images, epochs=epochs, tell=tell)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, found.model.save)
    return SettledFile(found.before, found.after, len(images))


def _images(folder: Path, spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Read and preprocess the images of a folder, or a sample; return float32 N×H×W×C."""
    found = look_into(folder)
    if found.unreadable:
        raise folder_error(found.unreadable[0])
    paths = [Path(image.path) for image in found.images]
    if len(paths) < FEWEST:
        raise DatasetError(
            f"{folder}: found {len(paths)} images, expected {FEWEST} or more. Add images of training patients."
        )
    width, height = spec.size_px
    most = max(FEWEST, (MOST_MIB << 20) // (4 * width * height * spec.channels))
    rows = np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int))
    tensors = np.empty((len(rows), height, width, spec.channels), np.float32)
    for tensor, row in zip(tensors, rows, strict=True):
        try:
            tensor[...] = preprocess(read(paths[row], min_side_px=spec.min_side_px), spec.steps)
        except ImageError as error:
            raise DatasetError(f"image refused: {error.message} Remove or replace it.") from None
    return tensors
