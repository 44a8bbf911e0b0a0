"""Compute a reference distribution from answers, and the file of a site's own reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.assurance.drift.observations import RATES, Observations
from edge_runtime.assurance.drift.positions import (
    case_means,
    correlation,
    design_effect,
    moments,
    positions,
    quantiles,
)
from edge_runtime.bundle.reference_distribution import (
    PATIENT_QUANTILES,
    QUANTILES,
    QuantityReference,
    RateReference,
    ReferenceDistribution,
)
from edge_runtime.errors import DriftError, ManifestError, UsageError
from edge_runtime.ood.detector import STATISTICS
from edge_runtime.results.lines import Origin
from edge_runtime.serialisation.records import from_json, write_record

SCHEMA = "edge-predict-reference/1"
FEWEST_CASES = 10
"""A reference needs at least this many cases."""

_DIGITS = 7


@dataclass(frozen=True)
class SiteReference:
    """The reference that a site makes from its own accepted answers.

    Attributes:
        schema: :data:`SCHEMA`.
        origin: model and thresholds of the answers.
        site: the answers' key ``site``, and the name of the site policy if they have one.
        first, last: time of the first and the last answer.
        reference: the distributions.
    """

    schema: str
    origin: Origin
    site: str
    first: str
    last: str
    reference: ReferenceDistribution


def reference_of(found: Observations, source: str, answered_by: str, grouped_by: str) -> ReferenceDistribution:
    """Return the distributions of these answers.

    Args:
        found: the answers.
        source: where the images come from, as text.
        answered_by: model file and interpreter.
        grouped_by: what a case is, as a plural noun.

    Raises:
        DriftError: ``drift_few_cases``: there are fewer than :data:`FEWEST_CASES`.
    """
    if found.cases < FEWEST_CASES:
        raise DriftError(
            f"found answers on {found.cases} {grouped_by}, expected {FEWEST_CASES} or more for a reference. "
            "Collect more, or state with --cases which images belong together.",
            code="drift_few_cases",
        )
    return ReferenceDistribution(
        source=source,
        answered_by=answered_by,
        statistics=STATISTICS,
        patients=found.cases,
        images=len(found),
        grouped_by=grouped_by,
        quantities=tuple(_quantity(found, name) for name in found.values if _there(found, name)),
        rates=tuple(_rate(found, name) for name in RATES if not np.isnan(found.events[name]).all()),
    )


def _there(found: Observations, name: str) -> bool:
    """Return whether enough cases have this number; else it is left out."""
    rows = ~np.isnan(found.values[name])
    return len(np.unique(found.case[rows])) >= FEWEST_CASES


def _quantity(found: Observations, name: str) -> QuantityReference:
    rows = ~np.isnan(found.values[name])
    values = found.values[name][rows]
    cases, case = np.unique(found.case[rows], return_inverse=True)
    grid = tuple(_short(value) for value in quantiles(values, case, QUANTILES))
    placed = positions(values, grid)
    related = correlation(placed, case)
    own = case_means(values, case, len(cases))
    return QuantityReference(
        name=name,
        patients=len(cases),
        images=len(values),
        quantiles=grid,
        patient_quantiles=tuple(_short(value) for value in quantiles(own, np.arange(len(cases)), PATIENT_QUANTILES)),
        position=moments(case_means(placed, case, len(cases))),
        distance=moments(case_means(np.abs(2 * placed - 1), case, len(cases))),
        correlation=related,
        design_effect=design_effect(case, related or 0.0),
    )


def _rate(found: Observations, name: str) -> RateReference:
    rows = ~np.isnan(found.events[name])
    happened = found.events[name][rows]
    cases, case = np.unique(found.case[rows], return_inverse=True)
    related = correlation(happened, case)
    return RateReference(
        name, len(cases), len(happened), int(happened.sum()), related, design_effect(case, related or 0.0)
    )


def _short(value: float) -> float:
    """Round to seven significant digits, which is beyond the accuracy of any of these numbers."""
    return float(f"{value:.{_DIGITS}g}")


def read_site_reference(path: Path) -> SiteReference:
    """Read the file that ``--write-reference`` wrote.

    Raises:
        DriftError: ``drift_reference``: there is no such file, or it is of another kind.
    """
    try:
        return from_json(SiteReference, path.read_bytes(), str(path))
    except (OSError, ManifestError) as error:
        fault = error.strerror if isinstance(error, OSError) else error.message
        raise DriftError(
            f"{path}: {fault} Expected a reference that edge-predict drift --write-reference wrote.",
            code="drift_reference",
        ) from None


def write_site_reference(path: Path, reference: SiteReference) -> None:
    """Write the file, replacing an older one.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        write_record(path, reference)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that exists."
        ) from None
