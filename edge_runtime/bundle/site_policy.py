"""A site policy: thresholds for one bundle, fitted and validated on labelled cases of the site that uses it.

It is a JSON file of its own beside the bundle, whose bytes stay as they are (docs/how-to/calibrate-site.md).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import ABSENT, to_dict

SCHEMA = "edge-site-policy/1"
"""Version of the JSON form. The number changes when a key is added, removed or changes its meaning."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST = 100


@dataclass(frozen=True)
class Thresholds:
    """What a site policy replaces in the policy of a bundle; ranges as in :class:`DecisionPolicy`.

    Attributes:
        cutoff: smallest positive score (0..1) of a POSITIVE image.
        confidence_floor: confidence (0..1) below which the decision is REFER.
        temperature: divisor of the logits.
        case_confidence: smallest confidence (0..1) of an image that the case rule counts; None without a case rule.
    """

    cutoff: float
    confidence_floor: float
    temperature: float
    case_confidence: float | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        DecisionPolicy(self.cutoff, self.confidence_floor, self.temperature)  # checks the ranges
        if self.case_confidence is not None and not 0.0 <= self.case_confidence <= 1.0:
            raise ValueError(f"found case_confidence {self.case_confidence}, expected 0..1.")

    @classmethod
    def of(cls, policy: DecisionPolicy) -> Thresholds:
        """Return the thresholds of a policy."""
        case = None if policy.case is None else policy.case.confidence
        return cls(policy.cutoff, policy.confidence_floor, policy.temperature, case)

    def applied_to(self, policy: DecisionPolicy) -> DecisionPolicy:
        """Return ``policy`` with these thresholds."""
        case = policy.case
        if case is not None and self.case_confidence is not None:
            case = replace(case, confidence=self.case_confidence)
        changed = {"cutoff": self.cutoff, "confidence_floor": self.confidence_floor, "temperature": self.temperature}
        return replace(policy, case=case, **changed)


@dataclass(frozen=True)
class Interval:
    """A figure with its two-sided 95 % interval."""

    value: float
    low: float
    high: float

    def text(self) -> str:
        """Return the figure as ``0.914 [0.850, 0.960]``."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Change:
    """A figure of the cases with the bundle's thresholds and with fitted ones.

    Attributes:
        name: such as ``sensitivity``.
        cases: number of cases that it is about.
        before: with the bundle's thresholds.
        after: with thresholds fitted without the case that they decide (cross-validation).
        difference: after minus before, paired by case.
    """

    name: str
    cases: int
    before: Interval
    after: Interval
    difference: Interval


@dataclass(frozen=True)
class Basis:
    """The cases behind a site policy.

    Attributes:
        sha256: SHA-256 of names, labels, subgroups, regions and file hashes of all cases.
        positive, negative: numbers of cases.
        images: number of images.
        referred, failed: how cases without a decision are counted: ``wrong`` or ``positive``.
    """

    sha256: str
    positive: int
    negative: int
    images: int
    referred: str
    failed: str


@dataclass(frozen=True)
class Validation:
    """The evidence that the thresholds help.

    Attributes:
        folds: number of folds of the cross-validation.
        changes: figures before and after.
        cutoff_low, cutoff_high: smallest and largest cut-off of the folds.
        criterion: what had to be shown, as a sentence.
        p_value: of the exact paired test in the criterion.
        tries: number of different targets that were tried on these answers, this one included. The p-value has to be
            smaller by this factor.
    """

    folds: int
    changes: tuple[Change, ...]
    cutoff_low: float
    cutoff_high: float
    criterion: str
    p_value: float
    tries: int


@dataclass(frozen=True)
class SitePolicy:
    """The content of a site policy's file.

    Attributes:
        schema: :data:`SCHEMA`.
        name: the site's name of the policy.
        version: 1 or more; it rises with each policy of a model.
        model, model_version: of the bundle that it is for.
        bundle: SHA-256 of that bundle's ``bundle.json``.
        contract: its preprocessing contract.
        thresholds: the thresholds in force.
        replaced: the bundle's own thresholds.
        target: what the thresholds were fitted for, as a sentence.
        method: how they were fitted, as sentences.
        cases: the cases that they were fitted on.
        validation: figures before and after.
        date: UTC, RFC 3339.
        software: version of edge-predict.
        notice: what the policy does not mean.
    """

    schema: str
    name: str
    version: int
    model: str
    model_version: str
    bundle: str
    contract: str
    thresholds: Thresholds
    replaced: Thresholds
    target: str
    method: str
    cases: Basis
    validation: Validation
    date: str
    software: str
    notice: str

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"found schema {self.schema[:60]!r}, expected {SCHEMA}.")
        if self.version < 1:
            raise ValueError(f"found version {self.version}, expected 1 or more.")
        check_name(self.name)
        for name in ("bundle", "contract"):
            if not _HASH.fullmatch(getattr(self, name)):
                raise ValueError(f"found no SHA-256 as {name}, expected 64 hexadecimal digits.")

    def applied_to(self, spec: ModelSpec) -> ModelSpec:
        """Return the spec with the thresholds of the site; everything else stays."""
        return replace(spec, policy=self.thresholds.applied_to(spec.policy))

    def to_bytes(self) -> bytes:
        """Return the JSON file."""
        return (json.dumps(to_dict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def check_name(name: str) -> None:
    """Reject a name that is no name of a site policy.

    Raises:
        ValueError: it is not made of lower-case words joined by hyphens, or has more than 100 characters.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError(f"found name {name[:60]!r}, expected lower-case words joined by hyphens.")
