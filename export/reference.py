"""Add the reference distribution to a bundle: what the exported file answers on validation patients.

Only ``bundle.json`` and the model card change. Model files and golden vectors keep their bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.assurance.drift.observations import Observation, Observations, observation
from edge_runtime.assurance.drift.reference import reference_of
from edge_runtime.assurance.measuring_predictor import MeasuringPredictor
from edge_runtime.bundle.bundle import Bundle, describe_files, find, write_manifest
from edge_runtime.bundle.manifest import Manifest, Precision, Role
from edge_runtime.bundle.reference_distribution import ReferenceDistribution
from edge_runtime.errors import ImageError
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT
from edge_runtime.inference.prediction import Failure
from edge_runtime.predictor import Predictor
from export.errors import ExportError
from export.model_card import model_card
from training.artifact import Artifact
from training.data.datasets import Sample
from training.data.splits import Part, select, usable
from training.recipes import find_recipe

_LOG = logging.getLogger(__name__)
CARD = "MODEL_CARD.md"
FEWEST_PATIENTS = 20
"""With fewer validation patients, an export writes no reference: no number of cases could show a drift from it."""


@dataclass(frozen=True)
class Validation:
    """The validation patients of a model.

    Attributes:
        samples: their images.
        grouped_by: what patients are, as a plural noun.
    """

    samples: tuple[Sample, ...]
    grouped_by: str

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len({sample.group for sample in self.samples})


def validation_of(artifact: Artifact, data: Path | None) -> Validation | None:
    """Return the validation patients of a training artifact; None without data.

    Raises:
        ArtifactError: the artifact is incomplete.
        DatasetError: the data do not match the layout.
    """
    if data is None:
        return None
    dataset = find_recipe(artifact.spec().name).source.load(data)
    found = select(dataset.samples, artifact.split(), Part.VALIDATION)
    return Validation(usable(found, Part.VALIDATION, dataset.contradicted), dataset.grouped_by)


def observed(predictor: Predictor, samples: Iterable[Sample]) -> Observations:
    """Answer images as a device does, and return the answers with their patients."""
    found: list[Observation] = []
    for sample in samples:
        try:
            fields = predictor.predict(sample.path, region=sample.region, name=sample.name).to_dict()
        except ImageError as error:
            fields = Failure(sample.name, error).to_dict()
        found.append(observation(fields, str(sample.group)))
    return Observations.of(found)


def measure(bundle: Bundle, validation: Validation) -> ReferenceDistribution:
    """Return the reference distribution of a bundle, answered by its int8 file with all of the runtime's rules."""
    with MeasuringPredictor(bundle, Runtime.AUTO, Precision.INT8, 1) as predictor:
        entry = bundle.model(FORMAT[predictor.runtime], predictor.precision)
        file = "" if entry is None else entry.name
        answers = observed(predictor, validation.samples)
        answered_by = f"{file} on {predictor.runtime.value}"
    return reference_of(answers, "validation part of the data set", answered_by, validation.grouped_by)


def add_reference(folder: Path, validation: Validation) -> Manifest:
    """Measure the reference of the bundle in ``folder``, and write it into ``bundle.json`` and the model card.

    Args:
        folder: the bundle, a folder.
        validation: patients on which the model was not fitted.

    Raises:
        DriftError: there are too few patients.
        BundleError: the bundle is damaged.
    """
    bundle = find(folder)
    bundle.verify()
    manifest = replace(bundle.manifest, reference_distribution=measure(bundle, validation))
    (folder / CARD).write_text(model_card(manifest), encoding="utf-8")
    (card,) = describe_files(folder, [(CARD, Role.CARD, None, None)])
    files = tuple(card if entry.role is Role.CARD else entry for entry in manifest.files)
    manifest = replace(manifest, files=files)
    write_manifest(folder, manifest)
    find(folder).verify()
    return manifest


def add_if_enough(folder: Path, validation: Validation, manifest: Manifest) -> Manifest:
    """Add the reference to a new bundle; leave it out, with a warning, if there are too few validation patients."""
    if validation.patients >= FEWEST_PATIENTS:
        return add_reference(folder, validation)
    _LOG.warning(
        "no reference for drift: found %d %s in the validation part, expected %d or more. A site can make its own "
        "with edge-predict drift --write-reference.",
        *(validation.patients, validation.grouped_by, FEWEST_PATIENTS),
    )
    return manifest


def check_exported_from(bundle: Bundle, artifact: Artifact) -> None:
    """Refuse an artifact that is not the one of the bundle.

    Raises:
        ExportError: name, version or preprocessing differ.
    """
    mine, theirs = bundle.manifest.spec, artifact.spec()
    if (mine.name, mine.version, mine.contract) != (theirs.name, theirs.version, theirs.contract):
        raise ExportError(
            f"{artifact.folder}: found {theirs.name} {theirs.version}, contract {theirs.contract[:16]}, expected "
            f"{mine.name} {mine.version}, contract {mine.contract[:16]}. Give the artifact of the bundle."
        )
