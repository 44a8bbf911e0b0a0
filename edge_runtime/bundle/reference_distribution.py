"""What a model's answers look like on patients that it was not fitted on; drift is measured against it.

The figures count patients, not images: images of one patient are not independent. ``assurance/drift`` computes and uses
them; this module only says how they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

QUANTILES = 21
"""Number of quantiles of images: the shares 0, 0.05, … 1."""

PATIENT_QUANTILES = 11
"""Number of quantiles of patients: the shares 0, 0.1, … 1."""


@dataclass(frozen=True)
class Moments:
    """Mean over patients, and variance between patients, of a number that each patient has.

    Attributes:
        mean: mean over patients.
        variance: variance between patients, with divisor patients − 1; 0 or more.
    """

    mean: float
    variance: float

    def __post_init__(self) -> None:
        if not (isfinite(self.mean) and self.variance >= 0.0):
            raise ValueError(f"found mean {self.mean} and variance {self.variance}, expected a variance of 0 or more.")


@dataclass(frozen=True)
class QuantityReference:
    """The distribution of one number of the answers, such as the score.

    Attributes:
        name: the key of JSON, such as ``score``, or the name of an image statistic.
        patients: number of patients with a value.
        images: number of images with a value.
        quantiles: :data:`QUANTILES` quantiles of images at equal steps from 0 to 1, each patient with the same weight.
        patient_quantiles: :data:`PATIENT_QUANTILES` quantiles of the patients' means.
        position: moments of the patients' mean position, 0..1, in the distribution of images.
        distance: moments of the patients' mean distance from its middle, 0..1: 2·|position − 0.5|.
        correlation: correlation of positions of images of one patient, 0..1; None if each patient has one image.
        design_effect: factor by which the correlation increases the variance of a mean over images; 1 or more.
    """

    name: str
    patients: int
    images: int
    quantiles: tuple[float, ...]
    patient_quantiles: tuple[float, ...]
    position: Moments
    distance: Moments
    correlation: float | None
    design_effect: float

    def __post_init__(self) -> None:
        for found, count in ((self.quantiles, QUANTILES), (self.patient_quantiles, PATIENT_QUANTILES)):
            if len(found) != count or list(found) != sorted(found):
                raise ValueError(f"{self.name}: found {len(found)} quantiles, expected {count}, which do not fall.")


@dataclass(frozen=True)
class RateReference:
    """How often something happened, such as a referral.

    Attributes:
        name: ``positive``, ``referred``, ``unfamiliar``, ``rerun`` or ``failed``.
        patients: number of patients.
        images: number of images on which it could happen.
        count: number of images on which it happened.
        correlation: correlation between images of one patient, 0..1; None if it cannot be estimated.
        design_effect: as in :class:`QuantityReference`.
    """

    name: str
    patients: int
    images: int
    count: int
    correlation: float | None
    design_effect: float

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.images:
            raise ValueError(f"{self.name}: found {self.count} of {self.images} images, expected 0..{self.images}.")


@dataclass(frozen=True)
class ReferenceDistribution:
    """The distributions of all numbers of the answers, and all rates.

    Attributes:
        source: where the images come from, as text.
        answered_by: model file and interpreter that answered.
        statistics: name and version of the image statistics.
        patients: number of patients, or of other groups or cases.
        images: number of images, with failed ones.
        grouped_by: the groups, as a plural noun.
        quantities: one entry for each number.
        rates: one entry for each rate.
    """

    source: str
    answered_by: str
    statistics: str
    patients: int
    images: int
    grouped_by: str
    quantities: tuple[QuantityReference, ...]
    rates: tuple[RateReference, ...]
