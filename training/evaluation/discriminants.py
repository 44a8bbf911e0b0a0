"""Fits the linear discriminants of the out-of-distribution check: own images against the same images, altered.

Each is a logistic regression on the features of one layer (outlier exposure: Hendrycks, Mazeika & Dietterich 2019,
ICLR, arXiv:1812.04606).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.ood.discriminants import Discriminants
from edge_runtime.serialisation.float16 import packed
from training.errors import DatasetError
from training.evaluation.familiarity import equal_weights

Floats = npt.NDArray[np.float64]
PENALTY = 0.03
"""Inverse strength of the quadratic penalty on the weights, for features of unit spread: with 1, own images of other
patients are referred twice as often as those of the fit (docs/research/familiarity.md)."""

FLOOR = 0.3
"""Part of the median spread that is added to every feature's own: weights of channels that hardly vary stay small."""


@dataclass(frozen=True, eq=False)
class AlteredFeatures:
    """Features of the N training images, each after every alteration.

    Attributes:
        accepted: after a change that the model must still answer, float64 N×F.
        altered: name of the alteration → float64 N×F.
    """

    accepted: Floats
    altered: Mapping[str, Floats]

    def take(self, rows: npt.NDArray[np.bool_]) -> AlteredFeatures:
        """Return the rows where ``rows``, bool N, is true."""
        return AlteredFeatures(self.accepted[rows], {name: found[rows] for name, found in self.altered.items()})


@dataclass(frozen=True, eq=False)
class LinearFunctions:
    """M functions of the scaled features: about 0 for own images, and larger for altered ones.

    Attributes:
        names: the alteration that each is for.
        weights: float64 M×F.
        centres: mean of each over own images before it is subtracted, float64 M.
    """

    names: tuple[str, ...]
    weights: Floats
    centres: Floats

    def values(self, scaled: Floats) -> Floats:
        """Return the values of scaled features, float64 N×F to N×M."""
        return scaled @ self.weights.T - self.centres

    def with_limits(self, limits: Floats, own: Floats) -> Discriminants:
        """Return the functions divided by their limits, float64 M; ``own`` are the scaled features of own images.

        Raises:
            DatasetError: a limit is not above the mean of own images, so the share that was asked for is too large.
        """
        if not limits.min() > 0:
            raise DatasetError(
                f"familiarity: found a limit {limits.min():.3g} of a discriminant, expected one above 0, the mean of "
                "own images. Ask for a smaller share with --familiar."
            )
        weights = (self.weights / limits[:, np.newaxis]).astype(np.float16)
        centres = (own @ weights.astype(np.float64).T).mean(axis=0)
        return Discriminants(self.names, packed(weights), tuple(float(f"{-each:.6g}") for each in centres.tolist()))


def fit_functions(own: Floats, altered: AlteredFeatures, groups: npt.NDArray[np.str_]) -> LinearFunctions:
    """Fit one function for each alteration. Every patient has equal weight.

    Args:
        own: scaled features of the training images, float64 N×F.
        altered: scaled features of the same images, altered.
        groups: N patient ids.
    """
    from sklearn.linear_model import LogisticRegression  # imported here, because it takes a second

    kept = np.concatenate([own, altered.accepted])
    spread = own.std(axis=0)
    spread = np.hypot(spread, FLOOR * np.median(spread))
    weight = np.tile(len(groups) * equal_weights(groups), 3)  # of own, accepted and altered images
    rows = []
    for found in altered.altered.values():
        both = np.concatenate([kept, found]) / spread
        labels = np.arange(len(both)) >= len(kept)
        fitted = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=1000)
        rows.append(fitted.fit(both, labels, weight).coef_[0] / spread)
    weights = np.stack(rows)
    return LinearFunctions(tuple(altered.altered), weights, (own @ weights.T).mean(axis=0))
