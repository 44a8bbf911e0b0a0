"""What a self-test found: a record that can be kept beside the device, and read again."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge_runtime.selftest.machine import Machine

SCHEMA = "edge-selftest/1"
"""Version of the JSON form; a new number when any key comes, goes or changes its meaning."""


class Step(enum.Enum):
    """The steps of an answer, in their order."""

    TENSOR = "tensor"  # file bytes → image → tensor
    LOGITS = "logits"  # tensor → logits of one file on one interpreter
    DECISION = "decision"  # file bytes → decision, guard band included
    MAP = "map"  # file bytes → heatmap of the float32 file


@dataclass(frozen=True)
class Check:
    """One step against what the exporting machine computed.

    Attributes:
        subject: the file, or ``images`` where no file is concerned.
        runtime: the interpreter, as answers name it (``onnxruntime+cuda`` on a GPU); None for tensors, which need none.
        values: how many were compared: images, logits or decisions.
        differing: how many of them are not the same, bit for bit.
        difference: what is judged. Tensors and float32 logits: largest |Δ| / max(1, |value there|); int8 logits:
            mean |Δ|; decisions: how many differ; maps: largest |Δ| as a share of the map's range. None if the
            step gave no number.
        tolerance: the largest ``difference`` that passes.
        largest: largest |Δ| of any value; for decisions as ``difference``.
        keras_difference: largest |Δ logit| against the Keras model, None for other steps. It is told, not judged.
        image: the golden image with the largest difference, None if nothing differs.
        problem: why the step could not run, empty if it did.
    """

    step: Step
    subject: str
    runtime: str | None
    values: int
    differing: int
    difference: float | None
    tolerance: float
    largest: float | None
    keras_difference: float | None
    picture: str | None
    problem: str
    passed: bool


@dataclass(frozen=True)
class NotRun:
    """A model file that no interpreter here reads, and how one is installed."""

    file: str
    remedy: str


@dataclass(frozen=True)
class Certificate:
    """Everything that a self-test found on one machine at one time.

    Attributes:
        passed: every check passed. What was not run is in ``not_run`` and is not covered.
        date: UTC, ISO 8601, to the second.
        contract: SHA-256 of the preprocessing steps.
        files: name → SHA-256 of every file of the bundle, as hashed here.
    """

    schema: str
    passed: bool
    date: str
    bundle: str
    version: str
    contract: str
    files: dict[str, str]
    machine: Machine
    checks: tuple[Check, ...]
    not_run: tuple[NotRun, ...]

    def failed(self) -> tuple[Check, ...]:
        """Return the checks that did not pass, in the order of the steps."""
        return tuple(check for check in self.checks if not check.passed)
