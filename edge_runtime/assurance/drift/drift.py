"""The report of a comparison: what moved, since when, how sure, and what could not have been found."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from statistics import median

from edge_runtime import __version__
from edge_runtime.assurance.drift.answers import Answers
from edge_runtime.assurance.drift.change_point import ChangePoint, change_point
from edge_runtime.assurance.drift.comparison import Comparison, Kind, compare
from edge_runtime.assurance.drift.power import ONE_DEVIATION, SHIFTS, Design, Need
from edge_runtime.assurance.drift.student import holm
from edge_runtime.bundle.reference_distribution import ReferenceDistribution
from edge_runtime.inference.prediction import now
from edge_runtime.results.lines import Origin
from edge_runtime.serialisation.records import ABSENT

SCHEMA = "edge-predict-drift/1"
FALSE_ALARMS = 0.05
"""Default probability that a report without any drift finds one."""


class Finding(enum.Enum):
    """What a report says."""

    DRIFT = "drift"
    NOT_SHOWN = "no drift shown"  # a shift of one standard deviation would have been found
    TOO_FEW = "too few cases"  # it might not have been found


@dataclass(frozen=True)
class Moved:
    """One test of the report; the others as in :class:`edge_runtime.assurance.drift.comparison.Comparison`.

    Attributes:
        low, high: 95 % interval of the effect, for this quantity alone.
        adjusted: p value after Holm's correction over all tests of the report.
        drifted: whether it is at or below the report's probability of a false alarm.
        since: the change point; None without a drift.
    """

    quantity: str
    kind: Kind
    cases: int
    images: int
    window: float
    reference: float
    effect: float
    low: float
    high: float
    p: float
    adjusted: float
    drifted: bool
    since: ChangePoint | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class DriftReport:
    """The result of one comparison.

    Attributes:
        schema: :data:`SCHEMA`.
        finding: the result.
        date: UTC, RFC 3339.
        software: version of edge-predict.
        origin: model and thresholds of the answers.
        site: the key ``site`` of the answers, and their site policy if they have one.
        reference: where the reference comes from, as text.
        reference_patients: its number of patients.
        case_rule: what counts as a case, as a sentence.
        cases, images: of the window.
        first, last: time of the first and the last image.
        false_alarms: probability of any false alarm in this report.
        smallest_shift: smallest shift that so many cases show with a power of 0.8, as the probability (0.5..1) that
            an image lies above one of the reference; None with fewer than two cases.
        needed: how many cases show which shift, for the quantity in the middle.
        tests: every test, those with a drift first, then by p value.
        notes: what the reader must know, a sentence each.
    """

    schema: str
    finding: Finding
    date: str
    software: str
    origin: Origin
    site: str
    reference: str
    reference_patients: int
    case_rule: str
    cases: int
    images: int
    first: str
    last: str
    false_alarms: float
    smallest_shift: float | None
    needed: tuple[Need, ...]
    tests: tuple[Moved, ...]
    notes: tuple[str, ...]

    @property
    def drifted(self) -> list[Moved]:
        """The tests that found a drift."""
        return [test for test in self.tests if test.drifted]


def drift_of(
    answers: Answers,
    reference: ReferenceDistribution,
    case_rule: str,
    notes: tuple[str, ...] = (),
    false_alarms: float = FALSE_ALARMS,
) -> DriftReport:
    """Compare answers with a reference.

    Args:
        answers: the window.
        reference: of the bundle, or of the site.
        case_rule: what counts as a case, as a sentence.
        notes: further notes for the report.
        false_alarms: probability of any false alarm in the report, 0..1.
    """
    window = answers.observations
    found = compare(window, reference)
    tests = _tests(found, answers, false_alarms)
    design = _design(found, reference, max(len(found), 1), false_alarms)
    smallest = design.smallest_shift(window.cases) if window.cases > 1 else None
    enough = smallest is not None and bool(found) and smallest <= ONE_DEVIATION
    drifted = any(test.drifted for test in tests)
    return DriftReport(
        schema=SCHEMA,
        finding=Finding.DRIFT if drifted else Finding.NOT_SHOWN if enough else Finding.TOO_FEW,
        date=now(),
        software=f"edge-predict {__version__}",
        origin=answers.origin,
        site=answers.site,
        reference=f"{reference.source}; {reference.patients} {reference.grouped_by}, {reference.images} images",
        reference_patients=reference.patients,
        case_rule=case_rule,
        cases=window.cases,
        images=len(window),
        first=window.times[0],
        last=window.times[-1],
        false_alarms=false_alarms,
        smallest_shift=smallest,
        needed=tuple(design.needed(shift) for shift in SHIFTS),
        tests=tests,
        notes=(*notes, *answers.notes, *_untested(answers, reference)),
    )


def _tests(found: list[Comparison], answers: Answers, false_alarms: float) -> tuple[Moved, ...]:
    adjusted = holm([test.p for test in found])
    tests = []
    for test, level in zip(found, adjusted, strict=True):
        drifted = level <= false_alarms
        since = change_point(test.series, test.expected, answers.observations.starts) if drifted else None
        known = (test.window, test.reference, test.effect, *test.bounds(), test.p, level)
        tests.append(Moved(test.quantity, test.kind, test.cases, test.images, *known, drifted, since))
    return tuple(sorted(tests, key=lambda test: (not test.drifted, test.p)))


def _design(found: list[Comparison], reference: ReferenceDistribution, tests: int, false_alarms: float) -> Design:
    """Return the design of the number that is in the middle by its variance between patients."""
    shifts = [test.deviation**2 for test in found if test.kind is Kind.SHIFT]
    known = shifts or [quantity.position.variance for quantity in reference.quantities] or [1 / 12]
    return Design(max(median(known), 1e-6), reference.patients, tests, false_alarms)


def _untested(answers: Answers, reference: ReferenceDistribution) -> tuple[str, ...]:
    known = {quantity.name for quantity in reference.quantities}
    if len(known & answers.observations.values.keys()) < len(known):
        return (
            "The answers have no image statistics, which show a change of the images earlier than scores do. Write "
            "them with edge-predict --statistics.",
        )
    return ()
