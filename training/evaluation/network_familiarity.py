"""Fits the out-of-distribution check on an early feature map of the network (``familiarity`` in JSON).

Mean, scale, principal components and discriminants come from the training images. New images lie farther than those
that were fitted on, so the limits come from images that were left out of a fit. Every patient has equal weight in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.ood.network_features import (
    FEATURES,
    MOST_COMPONENTS,
    NetworkFamiliarity,
)
from edge_runtime.serialisation.float16 import packed
from edge_runtime.serialisation.records import to_dict
from training.data.datasets import Traits
from training.data.tensors import Tensors
from training.errors import DatasetError
from training.evaluation.discriminants import AlteredFeatures, LinearFunctions, fit_functions
from training.evaluation.familiarity import FOLDS, FittedFamiliarity, equal_weights, folds_of, weighted_limit
from training.evaluation.feature_extractor import FeatureExtractor, ImageFeatures
from training.evaluation.image_limits import fit_limits
from training.recipes.recipe import FamiliarLayer

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float64]

IMAGES_PER_COMPONENT = 5
"""Smallest number of training images for each principal component."""

LEAST = 50
"""Smallest number of training images."""

_DIGITS = 6
_LIMIT_DIGITS = 4
_LESS = 1e-9
"""Less than the weight of any image."""

FLOOR = 1.0
"""Standard deviation added to every feature, as a multiple of the median one. Otherwise channels that hardly vary would
dominate the distance: int8 rounding alone changes it by up to four times the limit (busi-compact, third block)."""


def fit_check_of_network(
    network: keras.Model,
    layer: FamiliarLayer,
    spec: ModelSpec,
    train: Tensors,
    validation: Tensors,
    share: float,
    traits: Mapping[str, Traits] | None = None,
) -> FittedFamiliarity:
    """Compute the features of a network's training and validation images, and fit the check on them.

    Args:
        spec: of the network, without the check.
        train, validation: the images, preprocessed; altered ones are made from the files of ``train``.
        share, layer: as in :func:`fit_network_familiarity`.
        traits: name of an image → its traits, for ``layer.site_share``.

    Raises:
        RecipeError: the network has no such layer.
        DatasetError, ValueError: as in :func:`fit_network_familiarity` and :func:`fit_limits`.
    """
    extractor = FeatureExtractor(network, layer.name, spec.steps)
    seen = extractor.see(train, traits), extractor.see(validation, traits)
    limits = fit_limits((*train.samples, *validation.samples), layer.limits, spec)
    altered = extractor.altered(train.samples, layer.alterations, spec) if layer.alterations else None
    return fit_network_familiarity(*seen, layer, share, limits, altered)


def fit_network_familiarity(
    train: ImageFeatures,
    validation: ImageFeatures,
    layer: FamiliarLayer,
    share: float,
    limits: ImageLimits | None = None,
    altered: AlteredFeatures | None = None,
) -> FittedFamiliarity:
    """Fit the check on training images, and its limits on images that were left out of a fit.

    Distance and discriminants get limits beyond which equal shares of these images lie.

    Args:
        train: features of training images.
        validation: features of validation images, of other patients.
        layer: the feature map.
        share: tolerated share (0..1, ends excluded) of a new patient's images beyond any limit.
        limits: limits of the image as read, from :func:`fit_limits`.
        altered: features of the training images, altered; None for a check without discriminants.

    With ``layer.site_share``, each site is left out of the fit once; each limit is the largest that this requires.

    Raises:
        DatasetError: too few images, or ``layer.site_share`` without at least two sites.
        ValueError: ``share`` is out of its range.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"familiarity: found share {share}, expected a number between 0 and 1, ends excluded.")
    if len(train.groups) < LEAST or not len(validation.groups):
        raise DatasetError(
            f"familiarity: found {len(train.groups)} training and {len(validation.groups)} validation images, expected "
            f"at least {LEAST} and 1. Leave --familiar out, or give more data."
        )
    fitted = _Fit.on(train, altered, layer)
    scores, groups = _left_out(fitted, train, validation, altered, layer)
    each = common_limits(scores, groups, share)
    if layer.site_share is not None:
        each = np.maximum(each, _site_limits(train, validation, altered, layer, layer.site_share))
    known = replace(fitted.with_limits(each, train.values), image=limits)
    return FittedFamiliarity(known, _basis(known, train, validation, layer, share))


def _basis(
    known: NetworkFamiliarity, train: ImageFeatures, validation: ImageFeatures, layer: FamiliarLayer, share: float
) -> str:
    of_train, of_validation = (len(np.unique(part.groups)) for part in (train, validation))
    basis = (
        f"Familiarity: images farther than {known.limit:g} (distance of features of layer {layer.name}, "
        f"{FEATURES}, on {len(known.deviations)} components) from the model's own are referred. Fitted on "
        f"{len(train.groups)} training images of {of_train} patients; {share:g} of a left-out patient's images lie "
        f"farther on average ({len(validation.groups)} images of {of_validation} patients, and the training images in "
        f"{FOLDS} folds of patients)."
    )
    if known.discriminants is not None:
        basis += (
            " The distance includes linear discriminants of the training images against the same images, altered: "
            f"{', '.join(known.discriminants.names)}."
        )
    if layer.site_share is not None:
        basis += (
            f" The limit was raised until at most {layer.site_share:g} of the images of a left-out site lie farther."
        )
    if known.image is not None:
        stated = ", ".join(f"{name} {value:g}" for name, value in to_dict(known.image).items())
        basis += f" Images beyond {stated} are referred, too."
    return basis


class _Fit(NamedTuple):
    """The check before its limits are known: the distance, and the discriminants."""

    known: NetworkFamiliarity
    functions: LinearFunctions | None

    @classmethod
    def on(cls, train: ImageFeatures, altered: AlteredFeatures | None, layer: FamiliarLayer) -> _Fit:
        """Fit on features of training images, and on those of the same images, altered."""
        known = _model(train.values, layer)
        if altered is None:
            return cls(known, None)
        changed = {name: known.scaled(found) for name, found in altered.altered.items()}
        scaled = AlteredFeatures(known.scaled(altered.accepted), changed)
        return cls(known, fit_functions(known.scaled(train.values), scaled, train.groups))

    def scores(self, values: Floats) -> Floats:
        """Return distance and discriminants of features, float64 N×2C to (1 + M)×N."""
        found = [self.known.distances(values)]
        if self.functions is not None:
            found += list(self.functions.values(self.known.scaled(values)).T)
        return np.stack(found)

    def with_limits(self, limits: Floats, own: Floats) -> NetworkFamiliarity:
        """Return the check with limits, float64 1 + M; ``own`` are features of own images, float64 N×2C."""
        more = None if self.functions is None else self.functions.with_limits(limits[1:], self.known.scaled(own))
        return replace(self.known, limit=_rounded(float(limits[0]), _LIMIT_DIGITS, up=True), discriminants=more)


def _left_out(
    fitted: _Fit,
    train: ImageFeatures,
    validation: ImageFeatures,
    altered: AlteredFeatures | None,
    layer: FamiliarLayer,
) -> tuple[Floats, npt.NDArray[np.str_]]:
    """Return scores of images that were left out of a fit, float64 (1 + M)×N, and their N patient ids.

    These are the validation images, and the training images in folds of patients. Validation images alone are too few:
    each limit would depend on the one or two farthest (docs/research/familiarity.md).
    """
    scores, groups = [fitted.scores(validation.values)], [validation.groups]
    folds = folds_of(train.groups)
    for fold in np.unique(folds).tolist():
        others = folds != fold
        partial = _Fit.on(train.take(others), None if altered is None else altered.take(others), layer)
        scores.append(partial.scores(train.values[~others]))
        groups.append(train.groups[~others])
    return np.concatenate(scores, axis=1), np.concatenate(groups)


def common_limits(scores: Floats, groups: npt.NDArray[np.str_], share: float) -> Floats:
    """Return a limit for each of K scores of N images, float64 K: at most ``share`` lies beyond any of them.

    Beyond each limit alone lies the same share of the images. All groups have the same weight.

    Args:
        scores: float64 K×N.
        groups: N ids.
        share: tolerated share, 0..1.
    """
    if len(scores) == 1:
        return np.array([weighted_limit(scores[0], groups, share)])
    weights = equal_weights(groups)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.empty_like(scores)
    np.put_along_axis(ranks, order, np.cumsum(weights[order], axis=1), axis=1)
    first = -weighted_limit(-ranks.min(axis=0), groups, share)
    return np.array([weighted_limit(score, groups, max(0.0, first - _LESS)) for score in scores])


def _site_limits(
    train: ImageFeatures,
    validation: ImageFeatures,
    altered: AlteredFeatures | None,
    layer: FamiliarLayer,
    share: float,
) -> Floats:
    """Return limits beyond which at most ``share`` of each site's images lie if the site is left out of the fit."""
    sites = np.unique(train.sites) if train.sites is not None else np.zeros(0, np.str_)
    if len(sites) < 2 or validation.sites is None:
        raise DatasetError(
            f"familiarity: found {len(sites)} sites, expected two or more for a share of left-out sites. Leave it out."
        )
    needed = []
    for site in sites.tolist():
        others = train.sites != site
        fitted = _Fit.on(train.take(others), None if altered is None else altered.take(others), layer)
        for part in (train, validation):
            own = part.sites == site
            if own.any():
                needed.append(common_limits(fitted.scores(part.values[own]), part.groups[own], share))
    return np.asarray(np.max(needed, axis=0))


def _model(values: Floats, layer: FamiliarLayer) -> NetworkFamiliarity:
    """Return the check with a limit of 1; all numbers are those that JSON contains."""
    mean = np.array([_rounded(value) for value in values.mean(axis=0).tolist()])
    spread = values.std(axis=0)
    scale = np.ones(len(mean))
    if layer.scaled:
        scale = np.hypot(spread, max(FLOOR * float(np.median(spread)), 1e-6))
    scale = np.array([_rounded(value) for value in scale.tolist()])
    apart = (values - mean) / scale
    count = max(1, min(MOST_COMPONENTS, len(values) // IMAGES_PER_COMPONENT, values.shape[1] - 1))
    _, singular, rows = np.linalg.svd(apart, full_matrices=False)
    largest = rows[np.arange(count), np.abs(rows[:count]).argmax(axis=1)]
    components = (rows[:count] * np.sign(largest)[:, np.newaxis]).astype(np.float16)  # signs do not depend on LAPACK
    deviations = np.maximum(singular[:count] / np.sqrt(len(values) - 1), singular[0] * 1e-6)
    rest = apart - (apart @ components.T.astype(np.float64)) @ components.astype(np.float64)
    residual = max(float(np.sqrt(np.einsum("nk,nk->n", rest, rest).mean())), float(singular[0]) * 1e-6)
    return NetworkFamiliarity(
        statistics=FEATURES,
        layer=layer.name,
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        components=packed(components),
        deviations=tuple(_rounded(value) for value in deviations.tolist()),
        residual=_rounded(residual),
        limit=1.0,
    )


def _rounded(value: float, digits: int = _DIGITS, *, up: bool = False) -> float:
    """Round to significant digits, so that the JSON stays short."""
    rounded = float(f"{value:.{digits}g}")
    return rounded if not up or rounded >= value else float(f"{value * (1 + 10.0 ** (1 - digits)):.{digits}g}")
