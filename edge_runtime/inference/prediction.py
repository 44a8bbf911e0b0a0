"""Results for one image (a prediction, a failure or a left-out file) and their JSON form."""

from __future__ import annotations

import enum
import time
from dataclasses import field, replace
from functools import lru_cache
from typing import overload

from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.decision.verdict import SITE_WITH_POLICY, Site, Verdict
from edge_runtime.errors import EdgeError, ImageError, MachineError
from edge_runtime.images.content_hash import ContentHash
from edge_runtime.images.region import Region
from edge_runtime.serialisation import frozen

NOTICE = "Decision support for trained people, not a diagnosis and not a medical device."
"""Printed below every prediction that is meant for people."""

SCHEMA = "edge-predict/2"
"""Version of the JSON form. The number changes when a key is added, removed or changes its meaning."""


def now() -> str:
    """Return the current time in RFC 3339, UTC, to the millisecond (24 characters)."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=1)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class BurntInText(enum.Enum):
    """Why text inside the classified part of an image was accepted."""

    PERMITTED = "PERMITTED"  # Burned In Annotation of the DICOM object is NO: the text identifies nobody


class Fallback(enum.Enum):
    """Reasons for a fallback to float32."""

    KNOWN_ANSWERS_DIFFER = "KNOWN_ANSWERS_DIFFER"  # the logits differ on this machine from those recorded at export


@frozen.dataclass(frozen=True)
class Timing:
    """Wall-clock milliseconds for decoding, preprocessing and inference."""

    decode: float
    prepare: float
    run: float

    def __init__(self, decode: float, prepare: float, run: float) -> None:
        self.__dict__.update(decode=decode, prepare=prepare, run=run)

    def to_dict(self) -> dict[str, float]:
        """Return the JSON form, rounded to 0.001."""
        return {"decode": round(self.decode, 3), "prepare": round(self.prepare, 3), "run": round(self.run, 3)}


class HashField:
    """A dataclass field for a hash: set to a string, None or a :class:`ContentHash`, and read as a string or None.

    The default is None.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        """Note the name of the field."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> None: ...
    @overload
    def __get__(self, instance: object, owner: type) -> str | None: ...
    def __get__(self, instance: object | None, owner: type) -> str | None:
        """Return the hash; of the class, the default."""
        found = None if instance is None else vars(instance)[self._name]
        return str(found) if isinstance(found, ContentHash) else found

    def __set__(self, instance: object, value: str | ContentHash | None) -> None:
        """Store ``value``."""
        vars(instance)[self._name] = value


@frozen.dataclass(frozen=True)
class Prediction:
    """The result for one image, with the values that are needed to reproduce it.

    Attributes:
        image: the path as it was given, or a name for bytes and arrays.
        cutoff, confidence_floor: the applied thresholds, 0..1.
        contract: SHA-256 of the preprocessing steps.
        backend: the interpreter that ran.
        precision: precision of the model file that decided, such as ``int8`` or ``float32``.
        region: the marked region; None for models that take whole images.
        familiarity: result of the out-of-distribution check: the image's distance from the training images divided
            by the model's limit, 0 or more. Above 1 the image is referred. None if the model has no such check.
        fallback: reason of the fallback to float32; None if there was none.
        bundle: SHA-256 of the bundle's ``bundle.json``. For a single model file it is the SHA-256 of that file.
        sha256: SHA-256 of the file's bytes or of the array (docs/reference/json.md), computed when it is first read.
        site_policy: the site policy whose thresholds were applied; None if they are the bundle's own.
        statistics: width and height in pixels and the statistics of the whole image, by name; None unless requested.
        burnt_in_text: set if text stands inside the classified region of a DICOM object; None for all other images.
        time: time of the prediction by this machine's clock, as :func:`now` returns it. It is ignored when
            predictions are compared.
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
    sha256: HashField = HashField()
    site_policy: SitePolicyId | None = None
    statistics: dict[str, float] | None = None
    burnt_in_text: BurntInText | None = None
    time: str = field(default_factory=now, compare=False)

    @property
    def site(self) -> Site:
        """Whether the cut-off was calibrated at the site that uses the model."""
        return SITE_WITH_POLICY[self.site_policy is not None]

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md). Attributes that are None are omitted."""
        verdict = self.verdict
        familiarity = {} if self.familiarity is None else {"familiarity": self.familiarity}
        return {
            "schema": SCHEMA,
            "image": self.image,
            **_hashes(self.time, self.bundle, self.sha256),
            **_region(self.region),
            "model": self.model,
            "version": self.version,
            "label": verdict.label,
            "scores": dict(verdict.scores),
            "score": verdict.score,
            "confidence": verdict.confidence,
            "cutoff": self.cutoff,
            "confidence_floor": self.confidence_floor,
            "site": self.site.value,
            **({} if self.site_policy is None else {"site_policy": self.site_policy.to_dict()}),
            "decision": verdict.decision.value,
            "reason": verdict.reason.value,
            **familiarity,
            **({} if self.burnt_in_text is None else {"burnt_in_text": self.burnt_in_text.value}),
            **({} if self.statistics is None else {"statistics": dict(self.statistics)}),
            "contract": self.contract,
            "backend": self.backend,
            "precision": self.precision,
            **({} if self.fallback is None else {"fallback": self.fallback.value}),
            "ms": self.ms.to_dict(),
        }


class Fault(enum.Enum):
    """Cause of a failure."""

    IMAGE = "image"  # the file, the folder or the region is invalid: it will fail again
    MACHINE = "machine"  # memory, file descriptors or I/O failed: try the image again


@frozen.dataclass(frozen=True)
class Failure:
    """An image without a prediction, and the error; ``region``, ``bundle`` and ``time`` as in :class:`Prediction`."""

    image: str
    error: EdgeError
    region: Region | None = None
    bundle: str | None = None
    time: str = field(default_factory=now, compare=False)

    @property
    def of_machine(self) -> bool:
        """Whether the machine failed, not the image. The image can be tried again."""
        return isinstance(self.error, MachineError)

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the rejected bytes; None if no bytes were read."""
        return self.error.sha256 if isinstance(self.error, ImageError) else None

    def by(self, bundle: str) -> Failure:
        """Return a copy with ``bundle`` set, if it is not set already."""
        return self if self.bundle is not None else replace(self, bundle=bundle)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md)."""
        return {
            "schema": SCHEMA,
            "image": self.image,
            **_hashes(self.time, self.bundle, self.sha256),
            **_region(self.region),
            "error": {
                "kind": (Fault.MACHINE if self.of_machine else Fault.IMAGE).value,
                "code": self.error.code,
                "message": self.error.message,
            },
        }


@frozen.dataclass(frozen=True)
class LeftOutLine:
    """A file in a folder that is not classified, and the reason: hidden, a thumbnail, or another kind of file."""

    image: str
    reason: str
    bundle: str | None = None
    time: str = field(default_factory=now, compare=False)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md)."""
        hashes = _hashes(self.time, self.bundle, None)
        return {"schema": SCHEMA, "image": self.image, **hashes, "left_out": {"reason": self.reason}}


def _hashes(time: str, bundle: str | None, sha256: str | None) -> dict[str, object]:
    """Return the keys ``time``, ``bundle`` and ``sha256``, without those that are None."""
    keys = {"time": time, "bundle": bundle, "sha256": sha256}
    return {key: value for key, value in keys.items() if value is not None}


def _region(region: Region | None) -> dict[str, object]:
    """Return the key ``region``; empty if there is none."""
    return {} if region is None else {"region": region.to_dict()}
