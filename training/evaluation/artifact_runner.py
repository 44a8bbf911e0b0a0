"""Runs the network of an artifact on the images of one part of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy.typing as npt

from training.artifact import Artifact
from training.data.datasets import Sample
from training.data.splits import Part, select, usable
from training.data.tensors import Tensors, load_tensors
from training.errors import DatasetError
from training.metrics.classwise import ClassOutcomes
from training.networks.keras_model import load_model, logits_model
from training.recipes import find_recipe

ALL = "all"
"""Name of the part that contains every patient in the data; for data that the model was not fitted on."""


@dataclass(frozen=True, eq=False)
class ArtifactOutputs:
    """Images and the network's outputs on them, aligned on the first axis.

    Attributes:
        logits: N×outputs, as the network returns them.
    """

    tensors: Tensors
    logits: npt.ArrayLike
    outcome: ClassOutcomes


class OpenArtifact:
    """Holds the loaded network and the list of images, so that several parts share one copy of each.

    Attributes:
        network: the Keras model, cut at its logits.
    """

    def __init__(self, artifact: Artifact, data: Path, *, strict: bool = False) -> None:
        """Read the artifact's files and the layout below ``data``.

        Args:
            strict: reject an image that cannot be read, instead of skipping it.

        Raises:
            ArtifactError: the artifact is incomplete.
            DatasetError: the data do not match the layout.
        """
        self.spec, self.split = artifact.spec(), artifact.split()
        self.recipe = find_recipe(self.spec.name)
        self.dataset = self.recipe.source.load(data)
        self.network = logits_model(load_model(artifact.model_path))
        self._strict = strict

    def samples(self, part: str) -> tuple[Sample, ...]:
        """Return the images that the fit used as ``part``, or every image for :data:`ALL`.

        Raises:
            DatasetError: a patient is not in the split, and ``part`` is not :data:`ALL`; or the model has no test part.
        """
        if part == ALL:
            return self.dataset.samples
        if part == Part.TEST.value and not self.has_test:
            raise DatasetError(
                f"{self.spec.name} {self.spec.version}: found no test patients, because all but the validation "
                "patients were fitted on. Its figures are those of cross-validation: use --part validation, or "
                "--part all on other data."
            )
        return usable(select(self.dataset.samples, self.split, Part(part)), Part(part), self.dataset.contradicted)

    @property
    def has_test(self) -> bool:
        """Whether the split has a test part."""
        return Part.TEST in self.split.values()

    def present(self, part: Part) -> tuple[Sample, ...]:
        """Return the images of a part that are in the data; patients that are not in the split are ignored."""
        present = (s for s in self.dataset.samples if self.split.get(s.group) is part)
        return usable(present, part, self.dataset.contradicted)

    def of_patient(self, patient: str) -> tuple[Sample, ...]:
        """Return the images of one patient.

        Raises:
            DatasetError: the data contain no such patient.
        """
        found = tuple(sample for sample in self.dataset.samples if sample.group == patient)
        if not found:
            known = sorted({sample.group for sample in self.dataset.samples})
            raise DatasetError(
                f"patient {patient!r}: found {len(known)} {self.dataset.grouped_by} in {self.dataset.root}, none with "
                f"this name. Give a name such as {known[0]}."
            )
        return found

    def answer(self, samples: Sequence[Sample], label: str) -> ArtifactOutputs:
        """Return images and the network's outputs; ``label`` names the images in progress and error messages.

        Raises:
            DatasetError: no image can be read; or, where ``strict``, one image cannot be read.
        """
        tensors = load_tensors(samples, self.spec, label=label, strict=self._strict)
        logits = self.network.predict(tensors.images, verbose=0)
        return ArtifactOutputs(tensors, logits, ClassOutcomes.of(logits, tensors.labels, tensors.groups, self.spec))
