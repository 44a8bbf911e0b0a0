"""The protocol of a site acceptance: what has to be shown on which cases, written and hashed before any answer."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field

from edge_runtime.assurance.cases import Case, cases_hash
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import UsageError
from edge_runtime.predictor import Predictor
from edge_runtime.serialisation.records import ABSENT, canonical_json

SCHEMA = "edge-acceptance/1"
"""Version of the JSON form of protocol and report."""


class Counting(enum.Enum):
    """How a case without POSITIVE or NEGATIVE is counted. It is chosen before the answers are seen."""

    WRONG = "wrong"  # as an error, whatever is true of the case
    POSITIVE = "positive"  # as POSITIVE: a person reads the case


@dataclass(frozen=True)
class Claims:
    """What has to be shown.

    Attributes:
        sensitivity: floor (0..1) of the sensitivity; None if none is claimed.
        specificity: floor (0..1) of the specificity; None if none is claimed.
        confidence: of each one-sided lower bound, above 0.5 and below 1.
        referred: how referred cases are counted.
        failed: how cases are counted of which an image failed and none is POSITIVE.
    """

    sensitivity: float | None = field(default=None, metadata=ABSENT)
    specificity: float | None = field(default=None, metadata=ABSENT)
    confidence: float = 0.95
    referred: Counting = Counting.WRONG
    failed: Counting = Counting.WRONG

    def __post_init__(self) -> None:
        """Raises: UsageError: there is no floor, or a number is out of range."""
        floors = [floor for floor in (self.sensitivity, self.specificity) if floor is not None]
        if not floors or not all(0.0 < floor < 1.0 for floor in floors):
            raise UsageError(
                f"found floors {self.sensitivity} and {self.specificity}, expected one or both, each between 0 and 1, "
                "such as 0.85. Name a floor for sensitivity or specificity."
            )
        if not 0.5 < self.confidence < 1.0:
            raise UsageError(
                f"found a confidence of {self.confidence:g}, expected one between 0.5 and 1, such as 0.95."
            )


@dataclass(frozen=True)
class Protocol:
    """Everything that could change the result, fixed before the first answer.

    Attributes:
        schema: :data:`SCHEMA`.
        model: name of the model.
        version: version of the model.
        bundle: SHA-256 of ``bundle.json``.
        contract: the preprocessing contract.
        cutoff: cut-off (0..1) of the decisions.
        confidence_floor: confidence floor (0..1) of the decisions.
        backend: interpreter that answers.
        precision: precision of the model file that answers first.
        claims: what has to be shown.
        case_rule: how the images of a case are combined, as a sentence.
        positive_cases: number of positive cases.
        negative_cases: number of negative cases.
        images: number of images.
        cases: SHA-256 of names, labels, subgroups, regions and file hashes of all cases.
        site_policy: SHA-256 of the site policy whose thresholds decide; None for the model's own.
    """

    schema: str
    model: str
    version: str
    bundle: str
    contract: str
    cutoff: float
    confidence_floor: float
    backend: str
    precision: str
    claims: Claims
    case_rule: str
    positive_cases: int
    negative_cases: int
    images: int
    cases: str
    site_policy: str | None = field(default=None, metadata=ABSENT)

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the canonical JSON."""
        return hashlib.sha256(canonical_json(self).encode("ascii")).hexdigest()

    def differences(self, other: Protocol) -> list[str]:
        """Return the names of the attributes that differ."""
        return [name for name in vars(self) if getattr(self, name) != getattr(other, name)]


def protocol_of(predictor: Predictor, claims: Claims, cases: tuple[Case, ...]) -> Protocol:
    """Return the protocol for a model and the cases of a site.

    Args:
        predictor: the loaded model.
        claims: what has to be shown.
        cases: the cases.
    """
    spec, positive = predictor.spec, sum(case.positive for case in cases)
    return Protocol(
        schema=SCHEMA,
        model=spec.name,
        version=spec.version,
        bundle=predictor.digest,
        contract=spec.contract,
        cutoff=spec.policy.cutoff,
        confidence_floor=spec.policy.confidence_floor,
        backend=predictor.runtime.value,
        precision=predictor.precision.value,
        claims=claims,
        case_rule=case_rule_text(spec),
        positive_cases=positive,
        negative_cases=len(cases) - positive,
        images=sum(len(case.images) for case in cases),
        cases=cases_hash(cases),
        site_policy=None if predictor.site_policy is None else predictor.site_policy.sha256,
    )


def case_rule_text(spec: ModelSpec) -> str:
    """Return in words how :func:`edge_runtime.assurance.outcome.outcome_of` combines the images of a case."""
    rule = spec.policy.case
    if rule is None:
        return (
            "A case is POSITIVE if any of its images is, else failed or REFER if any of its images is, else NEGATIVE."
        )
    return (
        f"A case is POSITIVE if at least {rule.count} of its images are POSITIVE with a confidence of "
        f"{rule.confidence:g} or more, as the model's case rule says; else failed if any of its images is."
    )
