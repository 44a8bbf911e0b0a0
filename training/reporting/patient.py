"""Decides one patient from their patches, and draws the slide assembled from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.bundle.policy import CaseRule
from edge_runtime.decision.case import CaseVerdict
from training.artifact import Artifact
from training.data.datasets import Sample
from training.data.splits import Part
from training.evaluation.artifact_runner import OpenArtifact
from training.evaluation.case_report import choose_rule
from training.metrics.classwise import ClassOutcomes, side_names
from training.policy.cases import decide_patients
from training.reporting.slide import has_place, slide_png

_USED = {
    Part.TRAIN: "the model was fitted on this patient (train), so the scores are optimistic",
    Part.VALIDATION: "cut-offs and rules were chosen on this patient (validation)",
    Part.TEST: "this patient was not used to fit the model (test)",
    None: "this patient is in no part of the model's split and was not used to fit the model",
}


@dataclass(frozen=True)
class Patient:
    """The decision on one patient, and an image of their slide.

    Attributes:
        part: the part of the split that contains the patient; None for a patient that is not in the split.
        patches: number of patches that were read.
        refused: number of patches that cannot be read.
        rule: None where there is no rule; ``basis`` then gives the reason.
        verdict: decision of the rule on the patches; None without a rule.
        side: name of the positive side.
        png: slide and score map side by side.
    """

    name: str
    part: Part | None
    patches: int
    refused: int
    rule: CaseRule | None
    basis: str
    verdict: CaseVerdict | None
    side: str
    png: bytes

    @property
    def origin(self) -> str:
        """The use of the patient in fitting, in words."""
        return f"patient {self.name}: {_USED[self.part]}"

    @property
    def line(self) -> str:
        """Counts and decision in one line."""
        head = f"patient {self.name}: {self.patches} patches"
        if self.refused:
            head += f" ({self.refused} more cannot be read)"
        if self.rule is None or self.verdict is None:
            return f"{head}; no decision. {self.basis}"
        return (
            f"{head}, {self.verdict.answered} called with a confidence of {self.rule.confidence:g} or more, "
            f"{self.verdict.count} of them {self.side}; {self.verdict.decision.value} (POSITIVE from {self.rule.count})"
        )


def judge_patient(artifact: Artifact, data: Path, name: str, *, strict: bool = False) -> Patient:
    """Read the patches of one patient from ``data``, decide the patient and draw the slide.

    Raises:
        ArtifactError: the artifact is incomplete.
        DatasetError: there is no such patient, no patch can be read, or file names contain no place.
    """
    opened = OpenArtifact(artifact, data, strict=strict)
    found = opened.answer(opened.of_patient(name), f"patient {name}")
    chosen = choose_rule(opened)
    return Patient(
        name=name,
        part=opened.split.get(name),
        patches=len(found.tensors.samples),
        refused=len(found.tensors.refused),
        rule=chosen.rule,
        basis=chosen.basis,
        verdict=None if chosen.rule is None else decide_patients(found.outcome, chosen.rule)[0],
        side=side_names(opened.spec)[1],
        png=slide_png(found.tensors.samples, found.outcome.positive),
    )


def largest_slide(samples: Sequence[Sample], outcome: ClassOutcomes) -> tuple[str, bytes] | None:
    """Return the patient with the most patches, and a PNG of their slide; None where file names contain no place.

    Args:
        samples: N, in the order of ``outcome``. Of patients with equally many patches, the first by name is used.
    """
    if not samples or not all(has_place(sample) for sample in samples):
        return None
    counts = Counter(sample.group for sample in samples)
    patient = min(counts, key=lambda name: (-counts[name], name))
    rows = np.flatnonzero(outcome.groups == patient)
    return patient, slide_png([samples[int(i)] for i in rows], outcome.positive[rows])
