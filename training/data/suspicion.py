"""Suspicion of malignancy of an ultrasound image, from its BI-RADS category; a second target of a fit.

A reader's category says more about an image than the biopsy's two labels: category 4a and 5 are both malignant at
biopsy at times, but do not look alike. The probabilities are the middles of the ranges of the BI-RADS Atlas (American
College of Radiology, 5th edition, 2013).
"""

from __future__ import annotations

from training.data.datasets.dataset import BI_RADS, Traits

PROBABILITY = {"1": 0.0, "2": 0.0, "3": 0.01, "4a": 0.06, "4b": 0.3, "4c": 0.73, "4": 0.37, "5": 0.97, "6": 1.0}
"""Category → probability of malignancy, 0..1; category 4 without a letter is the mean of its three parts."""


def suspicion(traits: Traits) -> float | None:
    """Return the probability of malignancy, 0..1, of an image with these traits; None without a known category."""
    return PROBABILITY.get(dict(traits).get(BI_RADS, "").lower())
