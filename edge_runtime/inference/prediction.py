"""What an image's answer holds."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field, replace

from edge_runtime.decision.verdict import Verdict
from edge_runtime.errors import EdgeError, ImageError, MachineError
from edge_runtime.images.region import Region

NOTICE = "Decision support for trained people, not a diagnosis and not a medical device."
"""Stands below every answer that is made for people."""

SCHEMA = "edge-predict/2"
"""Version of the JSON form; a new number when any key comes, goes or changes its meaning."""


def now() -> str:
    """Return the time as answers name it: RFC 3339, UTC, to the millisecond; 24 characters."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03}Z"


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
    """One image's answer and everything that is needed to reproduce it.

    Attributes:
        image: the path as it was given, or a name for bytes and arrays.
        cutoff, confidence_floor: the thresholds that were applied, 0..1.
        contract: SHA-256 of the preprocessing steps.
        backend: the interpreter that ran.
        precision: of the file that decided: ``int8`` or ``float32``.
        region: what was asked about; None where the model answers about whole images.
        familiarity: the image's distance from the model's own images over the limit, 0 or more; above 1 it is
            unfamiliar and referred. None where the model says nothing about it.
        fallback: why float32 answers in place of the file that was wanted; None if nothing was replaced.
        bundle: SHA-256 of the bundle's ``bundle.json``; of a model file alone, its own.
        sha256: of the image: of the file's bytes, or of an array (docs/reference/json.md).
        time: when it was answered, by this machine's clock, as :func:`now` tells it. Answers that differ in it alone
            are equal.
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
    bundle: str | None = None
    sha256: str | None = None
    time: str = field(default_factory=now, compare=False)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md); what is None is absent from it."""
        verdict = self.verdict
        known = {} if self.familiarity is None else {"familiarity": self.familiarity}
        return {
            "schema": SCHEMA,
            "image": self.image,
            **_hashes(self.time, self.bundle, self.sha256),
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


class Fault(enum.Enum):
    """Whose fault it is that there is no answer."""

    IMAGE = "image"  # the file's, folder's or region's: asked again it fails again
    MACHINE = "machine"  # memory, descriptors, I/O: to be asked again


@dataclass(frozen=True)
class Failure:
    """An image that got no answer, and why; ``region``, ``bundle`` and ``time`` as in :class:`Prediction`."""

    image: str
    error: EdgeError
    region: Region | None = None
    bundle: str | None = None
    time: str = field(default_factory=now, compare=False)

    @property
    def of_machine(self) -> bool:
        """Whether the machine failed and not the image, which is to be asked again."""
        return isinstance(self.error, MachineError)

    @property
    def sha256(self) -> str | None:
        """Of the bytes that were refused; None where none were read."""
        return self.error.sha256 if isinstance(self.error, ImageError) else None

    def by(self, bundle: str) -> Failure:
        """Return the same with the bundle that was to answer, if none is named yet."""
        return self if self.bundle is not None else replace(self, bundle=bundle)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md)."""
        return {
            "schema": SCHEMA,
            "image": self.image,
            **_hashes(self.time, self.bundle, self.sha256),
            **_asked(self.region),
            "error": {
                "kind": (Fault.MACHINE if self.of_machine else Fault.IMAGE).value,
                "code": self.error.code,
                "message": self.error.message,
            },
        }


@dataclass(frozen=True)
class LeftOutLine:
    """A file of a folder that is not asked about, and why: a hidden one, a thumbnail, another kind of file."""

    image: str
    reason: str
    bundle: str | None = None
    time: str = field(default_factory=now, compare=False)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md)."""
        hashes = _hashes(self.time, self.bundle, None)
        return {"schema": SCHEMA, "image": self.image, **hashes, "left_out": {"reason": self.reason}}


def _hashes(time: str, bundle: str | None, sha256: str | None) -> dict[str, object]:
    """Return the keys of when, by which bundle and about which bytes."""
    found = {"time": time, "bundle": bundle, "sha256": sha256}
    return {key: value for key, value in found.items() if value is not None}


def _asked(region: Region | None) -> dict[str, object]:
    """Return the key of the region; none where none was asked about."""
    return {} if region is None else {"region": region.to_dict()}
