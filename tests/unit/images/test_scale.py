"""A stated scale that is not the model's is refused, with the factor by which to resample."""

import math

import pytest

from edge_runtime.errors import ImageScaleError, UsageError
from edge_runtime.images.scale import check_scale


@pytest.mark.parametrize("stated", [3.6, 4.0, 4.4])
def test_a_scale_within_ten_percent_passes(stated: float) -> None:
    check_scale("a", stated, 4.0, "m")


@pytest.mark.parametrize("stated", [0.25, 3.59, 4.41, 8.0])
def test_another_scale_is_refused_with_the_factor(stated: float) -> None:
    with pytest.raises(ImageScaleError) as refused:
        check_scale("slide.png", stated, 4.0, "m")
    assert refused.value.code == "image_scale_wrong" and refused.value.exit_code == 1
    assert refused.value.message == (
        f"slide.png: found {stated:g} microns per pixel, expected 4 within 10%. Resample the image by "
        f"{stated / 4:.4g} to 4 microns per pixel."
    )


@pytest.mark.parametrize("stated", [0.0, -4.0, math.nan, math.inf])
def test_a_scale_is_a_number_above_0(stated: float) -> None:
    with pytest.raises(UsageError, match="expected a number above 0"):
        check_scale("a", stated, 4.0, "m")


def test_a_scale_for_a_model_without_one_is_refused() -> None:
    with pytest.raises(UsageError, match="m: found a scale of 4 microns per pixel, but this model has none") as refused:
        check_scale("a", 4.0, None, "m")
    assert refused.value.code == "scale_unexpected"
