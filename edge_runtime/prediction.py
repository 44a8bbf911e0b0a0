"""What a picture's answer holds."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge_runtime.decision import Verdict
from edge_runtime.errors import EdgeError
from edge_runtime.region import Region

NOTICE = "Decision support for trained people, not a diagnosis and not a medical device."
"""Stands below every answer that is made for people."""

SCHEMA = "edge-predict/1"
"""Version of the JSON form; a new number when any key comes, goes or changes its meaning."""


class Fallback(enum.Enum):
    """Why the float32 file answers in place of the one that was wanted."""

    KNOWN_ANSWERS_DIFFER = "KNOWN_ANSWERS_DIFFER"  # that file gives other answers here than where it was made


@dataclass(frozen=True)
class Timing:
    """Milliseconds, wall clock."""

    decode: float
    prepare: float
    run: float


@dataclass(frozen=True)
class Prediction:
    """One picture's answer and everything that is needed to reproduce it.

    Attributes:
        image: the path as it was given, or a name for bytes and arrays.
        cutoff, confidence_floor: the thresholds that were applied, 0..1.
        contract: SHA-256 of the preprocessing steps.
        backend: the interpreter that ran.
        precision: of the file that decided: ``int8`` or ``float32``.
        region: what was asked about; None where the model answers about whole pictures.
        familiarity: the picture's distance from the model's own pictures over the limit, 0 or more; above 1 it is
            unfamiliar and referred. None where the model says nothing about it.
        fallback: why float32 answers in place of the file that was wanted; None if nothing was replaced.
    """

    image: str
    model: str
    version: str
    verdict: Verdict
    cutoff: float
    confidence_floor: float
    contract: str
    backend: str
    precision: str
    ms: Timing
    region: Region | None = None
    familiarity: float | None = None
    fallback: Fallback | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/json.md); ``familiarity`` and ``fallback`` are absent where they are None."""
        verdict = self.verdict
        known = {} if self.familiarity is None else {"familiarity": self.familiarity}
        return {
            "schema": SCHEMA,
            "image": self.image,
            **_asked(self.region),
            "model": self.model,
            "version": self.version,
            "label": verdict.label,
            "scores": dict(verdict.scores),
            "score": verdict.score,
            "confidence": verdict.confidence,
            "cutoff": self.cutoff,
            "confidence_floor": self.confidence_floor,
            "decision": verdict.decision.value,
            "reason": verdict.reason.value,
            **known,
            "contract": self.contract,
            "backend": self.backend,
            "precision": self.precision,
            **({} if self.fallback is None else {"fallback": self.fallback.value}),
            "ms": {"decode": self.ms.decode, "prepare": self.ms.prepare, "run": self.ms.run},
        }


@dataclass(frozen=True)
class Failure:
    """A picture that got no answer, and why; ``region`` as in :class:`Prediction`."""

    image: str
    error: EdgeError
    region: Region | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/json.md)."""
        return {
            "schema": SCHEMA,
            "image": self.image,
            **_asked(self.region),
            "error": {"code": self.error.code, "message": self.error.message},
        }


def _asked(region: Region | None) -> dict[str, object]:
    """Return the key of the region; none where none was asked about."""
    return {} if region is None else {"region": region.to_dict()}
