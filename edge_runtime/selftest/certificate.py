"""The certificate of a self-test: a record that can be stored as JSON and read again."""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass

from edge_runtime.selftest.machine import Machine
from edge_runtime.serialisation.records import to_dict

SCHEMA = "edge-selftest/1"
"""Version of the JSON form; it changes when a key is added, removed or changes its meaning."""


class Step(enum.Enum):
    """The steps of a prediction, in order."""

    TENSOR = "tensor"  # file bytes → image → tensor
    LOGITS = "logits"  # tensor → logits of one file on one interpreter
    DISTANCE = "distance"  # tensor → out-of-distribution distance of one file on one interpreter
    DECISION = "decision"  # file bytes → decision, with the guard band
    MAP = "map"  # file bytes → heatmap of the float32 file


@dataclass(frozen=True)
class Check:
    """Comparison of one step with the results of the exporting machine.

    Attributes:
        step: the step.
        subject: name of the model file, or ``pictures`` for steps on images.
        runtime: the interpreter, as in predictions (``onnxruntime+cuda`` on a GPU); None for tensors.
        values: number of compared images, logits or decisions.
        differing: number of these that are not equal bit for bit.
        difference: the number that is compared with ``tolerance``. Tensors and float32 logits: largest
            |Δ| / max(1, |stored value|); int8 logits: mean |Δ|; decisions: number of differences;
            out-of-distribution distances: largest |Δ| / stored value; maps: largest |Δ| as
            a share of the map's range. None if the step returned no finite number.
        tolerance: largest ``difference`` that passes.
        largest: largest |Δ| of any value; for decisions equal to ``difference``.
        keras_difference: largest |Δ logit| to the Keras model, for information; None for other steps.
        picture: the golden image with the largest difference; None if nothing differs.
        problem: why the step could not run; empty if it ran.
        passed: whether the difference is within the tolerance.
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
    """A model file without an installed interpreter, and the remedy: how to install one."""

    file: str
    remedy: str


@dataclass(frozen=True)
class Certificate:
    """The complete result of a self-test on one machine.

    Attributes:
        schema: version of the JSON form.
        passed: whether all checks passed. Files in ``not_run`` are not covered.
        date: UTC, ISO 8601, to the second.
        bundle, version: name and version of the bundle.
        contract: SHA-256 of the preprocessing steps.
        files: name → SHA-256 of every file of the bundle, as computed on this machine.
        machine: the machine of the test.
        checks: all checks, in order.
        not_run: model files without an installed interpreter.
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

    @property
    def json(self) -> bytes:
        """The JSON form (docs/certificate.schema.json), as ``edge-bundle selftest --json`` writes it."""
        return (json.dumps(to_dict(self), indent=2, allow_nan=False) + "\n").encode("utf-8")

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of :attr:`json`."""
        return hashlib.sha256(self.json).hexdigest()

    def failed(self) -> tuple[Check, ...]:
        """Return the checks that did not pass, in the order of the steps."""
        return tuple(check for check in self.checks if not check.passed)
