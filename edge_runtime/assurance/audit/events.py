"""What an entry of the audit log can say. None of it is about an image or a patient; all numbers are whole."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TypeAlias

from edge_runtime.inference.backends.registry import ran_by
from edge_runtime.inference.prediction import Fallback
from edge_runtime.predictor import Predictor
from edge_runtime.selftest.machine import Machine
from edge_runtime.serialisation.records import ABSENT


@dataclass(frozen=True)
class Started:
    """A command began. The entries of one process have the same ``run``.

    Attributes:
        command: name of the command, such as ``edge-serve``.
        software: name and version of this package.
        machine: processor, system, Python and packages, with the versions of the interpreters.
    """

    KIND = "start"
    command: str
    software: str
    machine: Machine


@dataclass(frozen=True)
class ModelAdmitted:
    """From now on, this model answers in this run. It replaces an earlier one of the same name.

    Attributes:
        bundle, contract: SHA-256 of ``bundle.json`` and of the preprocessing steps.
        backend: interpreter and device, as in predictions.
        precision: precision of the file that runs first.
        fallback: why float32 runs in place of int8.
        site_policy: SHA-256 of the site policy in force.
        certificate: SHA-256 of the certificate of the self-test that this run made.
    """

    KIND = "model"
    model: str
    version: str
    bundle: str
    contract: str
    backend: str
    precision: str
    fallback: Fallback | None = field(default=None, metadata=ABSENT)
    site_policy: str | None = field(default=None, metadata=ABSENT)
    certificate: str | None = field(default=None, metadata=ABSENT)

    @classmethod
    def of(cls, predictor: Predictor, certificate: str | None = None) -> ModelAdmitted:
        """Return the event for a loaded model."""
        spec, policy = predictor.spec, predictor.site_policy
        differs = not all(known.passed for known in predictor.known_answers.values())
        return cls(
            spec.name,
            spec.version,
            predictor.digest,
            spec.contract,
            ran_by(predictor.runtime, predictor.provider),
            predictor.precision.value,
            Fallback.KNOWN_ANSWERS_DIFFER if differs else None,
            None if policy is None else policy.sha256,
            certificate,
        )


@dataclass(frozen=True)
class AnswerCounts:
    """Answers of one bundle.

    Attributes:
        decisions: number of predictions by decision and reason, such as ``REFER LOW_CONFIDENCE``.
        failures: number of images without a prediction, by error code.
        slides: number of slides and large images that were answered tile by tile.
    """

    model: str
    version: str
    bundle: str
    decisions: dict[str, int]
    failures: dict[str, int]
    slides: int

    @property
    def answered(self) -> int:
        """Number of predictions of images."""
        return sum(self.decisions.values())


@dataclass(frozen=True)
class Summary:
    """The answers since ``since`` (RFC 3339, UTC), up to the time of the entry. Empty if there were none.

    Attributes:
        keyed_hash: HMAC-SHA256 over the predictions in their order (:mod:`edge_runtime.assurance.audit.keyed_hash`).
    """

    KIND = "summary"
    since: str
    answers: tuple[AnswerCounts, ...]
    keyed_hash: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Stopped:
    """The command ended by itself or by a signal. A run without this entry still runs, or was killed.

    Attributes:
        status: exit status; 128 and the number for a signal.
        code: error code, if an error ended it.
    """

    KIND = "stop"
    status: int
    code: str | None = field(default=None, metadata=ABSENT)


class StoreAction(enum.Enum):
    """Changes of the installed bundles."""

    INSTALL = "install"
    ROLLBACK = "rollback"
    REMOVE = "remove"


@dataclass(frozen=True)
class StoreChanged:
    """The installed versions of a model were changed.

    Attributes:
        outcome: what the command reports.
        version, bundle: version in force now, and SHA-256 of its ``bundle.json``; None after a removal.
        previous: version that is kept for a rollback.
    """

    KIND = "store"
    action: StoreAction
    model: str
    outcome: str
    version: str | None = field(default=None, metadata=ABSENT)
    bundle: str | None = field(default=None, metadata=ABSENT)
    previous: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class SitePolicyChanged:
    """The site policy of a model was set, or removed.

    Attributes:
        policy: SHA-256 of the policy that is in force now; None without one.
        bundle: SHA-256 of the ``bundle.json`` that it is for; None without one.
    """

    KIND = "site_policy"
    model: str
    bundle: str | None = field(default=None, metadata=ABSENT)
    policy: str | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class SelfTested:
    """A self-test ran on this machine.

    Attributes:
        certificate: SHA-256 of the certificate, as ``edge-bundle selftest --json`` writes it.
        failed: steps that did not pass, such as ``logits model_int8.tflite``.
    """

    KIND = "selftest"
    model: str
    version: str
    bundle: str
    certificate: str
    passed: bool
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Rotated:
    """This is the first entry of a file; ``file`` is the name of the one with the entries before it."""

    KIND = "rotated"
    file: str


@dataclass(frozen=True)
class Mended:
    """The bytes before this entry's line, back to the last entry, are no entry. They stay in the file.

    Attributes:
        bytes: their number, without the line end that was added.
        sha256: their SHA-256.
    """

    KIND = "mended"
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Lost:
    """Entries that this run wrote are gone: the end of the file was cut, or the file was replaced.

    Attributes:
        number, hash: the last entry that this run wrote or found before.
        found: number of the last entry that is there; 0 if there is none.
    """

    KIND = "lost"
    number: int
    hash: str
    found: int


@dataclass(frozen=True)
class Missed:
    """The log could not be written from ``since`` on. The counts of that time are in the next summary.

    Attributes:
        attempts: number of failed attempts.
        code: error code of the last one.
    """

    KIND = "missed"
    since: str
    attempts: int
    code: str


Event: TypeAlias = (
    Started
    | ModelAdmitted
    | Summary
    | Stopped
    | StoreChanged
    | SitePolicyChanged
    | SelfTested
    | Rotated
    | Mended
    | Lost
    | Missed
)
"""Anything that an entry says."""
