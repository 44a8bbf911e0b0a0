"""Which level of a slide is read, and by how much it is reduced."""

from __future__ import annotations

from fractions import Fraction

import pytest

from edge_runtime.errors import SlideError
from edge_runtime.slides.area_average import UNIT
from edge_runtime.slides.pyramid import Level
from edge_runtime.slides.scale import choose, level_0_microns, reading_of
from tests.unit.slides.drawn import Drawn, white

LEVELS = [Level(64000 // step, 48000 // step, Fraction(step)) for step in (1, 4, 16, 32)]


@pytest.mark.parametrize(
    "level_0, wanted, level, factor",
    [
        (0.25, 4.0, 2, 256),  # level 2 is the scale
        (0.2520, 4.0, 2, 256),  # within 1 %
        (0.2530, 4.0, 1, 1012),  # 4.048 is coarser: the next finer level, 1.012
        (0.25, 0.25, 0, 256),
        (0.25, 0.30, 0, 307),
        (0.25, 2.0, 1, 512),
        (4.3, 4.0, 0, 256),  # coarser, within the tolerance of all images
        (0.5, 100.0, 3, 1600),
    ],
)
def test_the_next_finer_level_is_reduced(level_0: float, wanted: float, level: int, factor: int) -> None:
    assert choose("slide", LEVELS, level_0, wanted) == (level, factor)
    microns = level_0 * float(LEVELS[level].downsample) * factor / UNIT
    assert abs(microns - wanted) <= (0.01 if factor != UNIT or level_0 < wanted else 0.1) * wanted


@pytest.mark.parametrize("level_0, code", [(4.5, "slide_too_coarse"), (1e-6, "slide_too_fine")])
def test_a_scale_that_cannot_be_reached_is_refused(level_0: float, code: str) -> None:
    with pytest.raises(SlideError) as caught:
        choose("slide.svs", LEVELS, level_0, 4.0)
    assert caught.value.code == code


def test_the_scale_is_the_files_or_the_stated_one_and_never_guessed() -> None:
    pyramid = Drawn(white(40, 40), microns=(0.5, 0.505))
    assert level_0_microns(pyramid, None) == 0.5025
    assert level_0_microns(pyramid, 2.0) == 2.0
    for microns, code in ((None, "slide_without_scale"), ((0.0, 0.0), "slide_without_scale")):
        with pytest.raises(SlideError, match="State it with --mpp") as caught:
            level_0_microns(Drawn(white(4, 4), microns=microns), None)
        assert caught.value.code == code
    with pytest.raises(SlideError, match="expected squares") as caught:
        level_0_microns(Drawn(white(4, 4), microns=(0.5, 0.6)), None)
    assert caught.value.code == "slide_pixels_unequal"


def test_the_reading_says_where_its_pixels_lie_in_level_0() -> None:
    reading = reading_of(Drawn(white(400, 800), white(100, 200)), None, 6.0)
    assert (reading.level, reading.factor_256, reading.level_0_px) == (1, 384, 6)
    assert (reading.microns_per_pixel, reading.stated, reading.exact) == (6.0, False, True)
