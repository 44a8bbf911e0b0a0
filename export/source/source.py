"""The model to export: a training artifact, or a Keras model made elsewhere with its own spec."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Evaluation, TrainingRecord
from edge_runtime.bundle.metrics import Localisation, SiteFigures
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import from_json
from export.errors import CalibrationError, ExportError
from export.source.calibration_images import (
    FEWEST,
    PreparedImages,
    Reading,
    Truth,
    files_below,
    files_of,
    load_calibration,
    preprocess_all,
    sample,
)
from export.source.encoded_images import list_in, spread
from export.source.foreign.formats import check_model
from export.source.spec_check import processor_dependent
from export.source.stored_tensors import StoredTensors, store
from export.source.truth import truth_of
from training.artifact import Artifact
from training.data.datasets import Sample
from training.data.splits import Part, select
from training.data.tensors import balanced_index, read_tensors
from training.errors import ArtifactError
from training.recipes import find_recipe

_LOG = logging.getLogger(__name__)

PARITY_IMAGES = 600
"""Number of validation images for parity and guard band, half of each label."""

PARITY_MIB = 512
"""Limit of the tensors of a parity folder, which are stored in a file: 891 of 224×224×3, or 170 of 512×512×3."""

FEWEST_BALANCED = 500
"""If a balanced selection has fewer images, all validation images are used."""


@dataclass(frozen=True)
class SourceModel:
    """A model, its spec and its records.

    Attributes:
        model_path: .keras file, .h5 file or SavedModel folder.
        training: record of the training; None for a model made elsewhere.
        evaluations: evaluations of the model by this project.
        localisations: whether its heatmaps point at lesions; None if not measured.
        data: folder of a published data set, whose files a calibration list may name.
        held_out: function that reads the parity images; None if the calibration images are used for parity.
        sites: figures by site and scanner; None if not measured.
        output: name of the output to export; None for a model with one output.
    """

    model_path: Path
    spec: ModelSpec
    training: TrainingRecord | None
    evaluations: tuple[Evaluation, ...]
    localisations: tuple[Localisation, ...] | None
    data: Path | None
    held_out: Callable[[Reading], PreparedImages] | None
    sites: tuple[SiteFigures, ...] | None = None
    output: str | None = None

    def images(
        self, calibration: Path, ranges: Reading | None = None, parity: Reading | None = None
    ) -> tuple[PreparedImages, PreparedImages]:
        """Read the calibration images and the parity images.

        Args:
            calibration: folder or list of the calibration images.
            ranges: how the calibration images are read.
            parity: how the parity images are read; by default as the calibration images.

        Raises:
            CalibrationError: there are too few images, the runtime rejects one, or one is in both sets.
        """
        found = load_calibration(calibration, self.data, self.spec, ranges)
        if self.held_out is None:
            return found, found
        judged = self.held_out(parity or ranges or Reading())
        _check_apart(found, judged)
        return found, judged


def from_artifact(artifact: Artifact, data: Path | None) -> SourceModel:
    """Return the model of a training artifact; with ``data``, parity is measured on its validation patients.

    Raises:
        ArtifactError: the artifact is incomplete.
    """
    spec, measured = artifact.spec(), artifact.measured()
    if not artifact.model_path.is_file():
        raise ArtifactError(f"{artifact.model_path}: missing; fit the recipe again.")
    held_out = None if data is None else partial(_validation, artifact, data, spec)
    known = measured.training, measured.evaluations, measured.localisations
    return SourceModel(artifact.model_path, spec, *known, data, held_out, measured.sites)


def from_model(
    model: Path, spec: Path, parity: Path | None, data: Path | None, output: str | None = None
) -> SourceModel:
    """Return a model made elsewhere: a Keras model, an ONNX file or a TFLite file.

    Args:
        parity: a folder of images that are not used for calibration, or a list of them. If its subfolders have the
            names of the spec's labels, or the list has a column ``label``, the accuracy of each file is measured too.
        output: name of the output that gives the scores, for a model with several.

    Raises:
        ExportError: the model or spec does not exist, or the model is a training artifact.
        ManifestError: the spec is invalid; the message names the key.
    """
    if not is_keras_model(model):
        if Artifact(model).model_path.is_file():
            raise ExportError(
                f"{model}: found a training artifact, which needs no --spec, expected a file .keras or .h5, or a "
                "SavedModel folder. Leave out --spec."
            )
        check_model(model)
    if not spec.is_file():
        raise ExportError(
            f"{spec}: found no file, expected a spec in JSON. Start from one with: "
            "python -m export spec --from-recipe NAME, or --like NETWORK"
        )
    read = from_json(ModelSpec, spec.read_bytes(), str(spec))
    if told := processor_dependent(read.steps):
        _LOG.warning("%s: %s", spec, told)
    held_out = None if parity is None else partial(_in_folder, parity, read, data)
    return SourceModel(model, read, None, (), None, data, held_out, output=output)


def is_keras_model(path: Path) -> bool:
    """Return whether the path is a model without a spec: a file, or a SavedModel folder."""
    return path.is_file() or (path / "saved_model.pb").is_file()


def _validation(artifact: Artifact, data: Path, spec: ModelSpec, reading: Reading) -> PreparedImages:
    """Read images of validation patients, which were used for neither the weights nor the int8 ranges."""
    dataset = find_recipe(spec.name).source.load(data)
    samples = select(dataset.samples, artifact.split(), Part.VALIDATION)
    rows = balanced_index(np.array([sample.label for sample in samples]), seed=0)
    if len(rows) < FEWEST_BALANCED:
        rows = np.arange(len(samples))
    step = max(1, -(-len(rows) // PARITY_IMAGES))
    rows = rows[::step]
    few = np.linspace(0, len(rows) - 1, reading.count(len(rows), spec)).round().astype(int)
    tensors, kept = _stored([samples[i] for i in rows[few]], spec, reading.path("parity"))
    truth = Truth(np.array([sample.label for sample in kept], np.int64), np.array([sample.group for sample in kept]))
    groups = len(set(truth.groups))
    return PreparedImages(tensors, f"{len(tensors)} images of {groups} validation patients", truth, of=len(rows))


def _stored(samples: list[Sample], spec: ModelSpec, path: Path | None) -> tuple[StoredTensors, list[Sample]]:
    """Preprocess samples into a file, without those that the runtime rejects; return tensors and samples."""
    width, height = spec.size_px
    kept: list[Sample] = []

    def rows() -> Iterator[npt.NDArray[np.float32]]:
        for read, _, tensor in read_tensors(samples, spec, label="parity"):
            kept.append(read)
            yield tensor

    return store(rows(), (height, width, spec.channels), path), kept


def _in_folder(
    folder: Path, spec: ModelSpec, data: Path | None = None, reading: Reading | None = None
) -> PreparedImages:
    """Read the images of a folder and its subfolders, or of a list, or a sample of them."""
    named = list_in(folder)
    if named is None and not folder.is_dir():
        raise CalibrationError(f"{folder}: found no folder, expected images for parity. Correct --parity.")
    files = files_below(folder, "parity") if named is None else files_of(named, data)
    if len(files) < FEWEST:
        raise CalibrationError(
            f"{folder}: found {len(files)} images for parity, expected {FEWEST} or more. Add images that the "
            "model will meet."
        )
    chosen, how = sample(files, spec, PARITY_MIB, role="parity")
    counted = f"{len(chosen)} of {len(files)}" if how else str(len(files))
    source = f"{counted} images in {folder.name}{f' ({how})' if how else ''}, which calibration never saw"
    reading = reading or Reading()
    used = spread(chosen, reading.count(len(chosen), spec))
    tensors = preprocess_all(used, spec, role="parity", path=reading.path("parity"))
    return PreparedImages(tensors, source, truth_of(used, spec), tuple(used), of=len(chosen))


def _check_apart(ranges: PreparedImages, judged: PreparedImages) -> None:
    """Reject parity images that are also calibration images."""
    seen = {hashlib.sha256(tensor.tobytes()).digest() for tensor in ranges.tensors}
    both = sum(hashlib.sha256(tensor.tobytes()).digest() in seen for tensor in judged.tensors)
    if both:
        raise CalibrationError(
            f"{both} of {judged.source.split(',')[0]} for parity are calibration images too, expected none. "
            "Remove them from one of the two folders."
        )
