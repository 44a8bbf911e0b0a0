"""Chooses the confidence floor above which an upper bound of the error stays small, on validation patients.

An image is answered when its confidence reaches the floor. *Error* is the error among answered images
(selective classification with guaranteed risk: Geifman & El-Yaniv 2017, NeurIPS).

Many floors are tested, so the error at the best one is biased downwards. The floors are therefore tested in a fixed
order, from the highest downwards, until the first one fails (fixed sequence testing with several starts:
Angelopoulos et al. 2021, Learn then Test, arXiv:2110.01052, section 2.3). The start of a descent depends only on the
confidences, never on which predictions are correct.

Errors on images of one patient are correlated, so the images carry less information than independent ones. The
exact binomial bound (Clopper & Pearson 1934) is computed at the *effective* number of images instead of their number
(Korn & Graubard 1998, Survey Methodology 24:193). A bootstrap over patients would not do: where no answered image is
wrong, no draw contains an error, and the bound is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t

from training.errors import DatasetError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FLOORS = (
    *(0.9999, 0.9995, 0.999, 0.998, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.9, 0.88, 0.85, 0.82),
    *(0.8, 0.78, 0.75, 0.72, 0.7, 0.68, 0.65, 0.62, 0.6, 0.58, 0.55, 0.52, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.0),
)
"""Floors in the order of testing. The bound is valid only because this list is fixed before any data are read."""

STARTS = (0.1, 0.4)
"""Coverages at which a descent starts; each uses an equal share of delta. The first start includes high floors. The
second has enough images for a tight bound."""


@dataclass(frozen=True)
class ConfidenceFloor:
    """A floor, and the bound of the error above it.

    Attributes:
        floor: 0..1; 1 where no floor meets the target.
        coverage: share of validation images answered, 0..1; 0 where no floor meets the target.
        error: share of wrong predictions among answered images, 0..1; nan if nothing is answered.
        upper: upper bound of that error for images of new patients, 0..1; 1 if nothing is answered.
        effective: effective number of independent images among the answered ones.
        method: one sentence for the training record: how the bound was computed.
    """

    floor: float
    coverage: float
    error: float
    upper: float
    effective: float
    method: str


def confidence_floor(
    confidence: Floats, correct: Bools, groups: npt.NDArray[np.str_], max_error: float, delta: float = 0.05
) -> ConfidenceFloor:
    """Return the lowest of :data:`FLOORS` above which the error stays under ``max_error``.

    With probability 1 − ``delta`` over the draw of validation patients, the bound holds for new patients of the same
    population. It is exact for independent images whose error does not increase with confidence. With several images
    per patient it is approximate, because the correlation is estimated.

    Args:
        confidence: float64 N, 0..1, of validation images.
        correct: bool N.
        groups: N patient ids.
        max_error: tolerated error among answered images, between 0 and 1.
        delta: tolerated probability that the bound does not hold, between 0 and 1.

    Raises:
        DatasetError: there is no image.
        ValueError: lengths differ, or a number is out of its range.
    """
    _check(confidence, correct, groups, max_error, delta)
    best: ConfidenceFloor | None = None
    for start in STARTS:
        for tested in _descent(confidence, correct, groups, start, delta):
            if tested.upper > max_error:
                break
            if best is None or tested.floor <= best.floor:
                best = tested
    return best or ConfidenceFloor(1.0, 0.0, float("nan"), 1.0, 0.0, f"No floor reached. {_method(groups, delta)}")


def lowest_max_error(confidence: Floats, correct: Bools, groups: npt.NDArray[np.str_], delta: float = 0.05) -> float:
    """Return the smallest ``max_error`` (0..1) for which :func:`confidence_floor` finds a floor; 1 if there is none.

    It is the smallest bound at the start of any descent, because a descent that fails at its start ends there.

    Args:
        confidence, correct, groups, delta: as for :func:`confidence_floor`.
    """
    _check(confidence, correct, groups, 0.5, delta)
    firsts = (next(_descent(confidence, correct, groups, start, delta), None) for start in STARTS)
    return min((first.upper for first in firsts if first is not None), default=1.0)


def _descent(
    confidence: Floats, correct: Bools, groups: npt.NDArray[np.str_], start: float, delta: float
) -> Iterator[ConfidenceFloor]:
    """Yield the floors that answer at least a share ``start`` of the images, from the highest floor downwards."""
    share, correlation = delta / len(STARTS), intraclass_correlation(~correct, groups)
    for floor in FLOORS:
        answered = confidence >= floor
        if answered.mean() < start:
            continue
        wrong = ~correct[answered]
        effective = effective_size(wrong, groups[answered], correlation, share)
        error = float(wrong.mean())
        upper = upper_bound(error * effective, effective, share)
        yield ConfidenceFloor(floor, float(answered.mean()), error, upper, effective, _method(groups, delta))


def upper_bound(errors: float, trials: float, delta: float) -> float:
    """Return the upper 1 − ``delta`` Clopper–Pearson bound of a share, 0..1; both counts may be fractions."""
    return 1.0 if trials <= 0 or errors >= trials else float(beta.ppf(1 - delta, errors + 1, trials - errors))


def intraclass_correlation(wrong: Bools, groups: npt.NDArray[np.str_]) -> float:
    """Return the correlation of errors within a patient, 0 (independent) to 1 (all images wrong or none).

    The analysis-of-variance estimator, clipped at 0: Donner 1986, International Statistical Review 54:67.
    """
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count, patients = len(wrong), len(sizes)
    if patients < 2 or count == patients:
        return 0.0
    means = np.bincount(index, weights=wrong) / sizes
    between = float((sizes * (means - wrong.mean()) ** 2).sum()) / (patients - 1)
    within = float((sizes * means * (1 - means)).sum()) / (count - patients)
    typical = (count - float((sizes**2).sum()) / count) / (patients - 1)
    spread = between + (typical - 1) * within
    return max(0.0, (between - within) / spread) if spread > 0 else 0.0


def effective_size(wrong: Bools, groups: npt.NDArray[np.str_], correlation: float, delta: float) -> float:
    """Return the effective number of independent images among the answered ones, at most their number.

    The number of images is divided by the larger of two design effects:

    - the one estimated from these errors (linearised variance of a ratio);
    - 1 + (size − 1) × ``correlation``, with the size weighted by itself. It is usable with few or no errors (Kerry &
      Bland 2001, Statistics in Medicine 20:377).

    The result is reduced for a small number of patients, by a ratio of squared Student quantiles (Korn & Graubard).

    Args:
        wrong: bool N, whether each answered image is wrong.
        groups: N patient ids.
        correlation: correlation of errors within a patient, over all validation images.
        delta: one minus the confidence of the bound, between 0 and 1.
    """
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count, patients = len(wrong), len(sizes)
    if patients < 2:
        return 0.0
    error = float(wrong.mean())
    expected = 1 + (float((sizes**2).sum()) / count - 1) * correlation
    found = 0.0
    if 0 < error < 1:
        residuals = np.bincount(index, weights=wrong) - error * sizes
        variance = patients / (patients - 1) * float((residuals**2).sum()) / count**2
        found = variance / (error * (1 - error) / count)
    known = (t.ppf(1 - delta, count - 1) / t.ppf(1 - delta, patients - 1)) ** 2
    return float(count * known / max(1.0, expected, found))


def _method(groups: npt.NDArray[np.str_], delta: float) -> str:
    return (
        f"Clopper–Pearson bound at the effective number of images (design effect over {len(np.unique(groups))} "
        f"patients), floors tested from the most confident downwards; holds with {1 - delta:.0%} over the whole search."
    )


def _check(confidence: Floats, correct: Bools, groups: npt.NDArray[np.str_], max_error: float, delta: float) -> None:
    if len(confidence) == 0:
        raise DatasetError("confidence floor: found no validation image, expected at least one. Check the split.")
    if not len(confidence) == len(correct) == len(groups):
        raise ValueError(
            f"found {len(confidence)} confidences, {len(correct)} answers and {len(groups)} groups, expected as many "
            "of each."
        )
    if not (0 < max_error < 1 and 0 < delta < 1):
        raise ValueError(f"found max_error {max_error} and delta {delta}, expected both between 0 and 1, exclusive.")
