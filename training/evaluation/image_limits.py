"""Fits the limits of the image as read that belong to the out-of-distribution check on network features."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.ood.image_limits import ImageLimits, dark_share
from training.data.datasets import Sample
from training.data.samples import SampleReader
from training.errors import DatasetError
from training.recipes.recipe import ImageLimit

LEAST_DARK = 0.5
"""Smallest share of dark pixels among dark and bright ones: of an image and its negative, one has more."""


def fit_limits(samples: Sequence[Sample], wanted: Sequence[ImageLimit], spec: ModelSpec) -> ImageLimits | None:
    """Return the limits of the image as read, from the model's own images; None if none is wanted.

    A side may be half the shortest, or half longer than the longest. Of dark and bright pixels, at least half must be
    dark: a negative has the reverse share. Images that the runtime rejects are left out.

    Raises:
        DatasetError: an own image has too few dark pixels for such a limit.
    """
    if not wanted:
        return None
    least, most, dark = 65535, 1, 1.0
    images = SampleReader(spec)
    for sample in samples:
        try:
            image = images.whole(sample)
        except ImageError:
            continue
        height, width = image.pixels.shape[:2]
        least, most = min(least, height, width), max(most, height, width)
        if ImageLimit.LEAST_DARK in wanted:
            dark = min(dark, dark_share(image))
    if dark <= LEAST_DARK:
        raise DatasetError(
            f"familiarity: found an own image with a dark share of {dark:.3g}, expected more than {LEAST_DARK}. Leave "
            "the limit least_dark out of the recipe."
        )
    return ImageLimits(
        least_side_px=max(1, least // 2) if ImageLimit.LEAST_SIDE in wanted else None,
        most_side_px=most * 3 // 2 if ImageLimit.MOST_SIDE in wanted else None,
        least_dark=LEAST_DARK if ImageLimit.LEAST_DARK in wanted else None,
    )
