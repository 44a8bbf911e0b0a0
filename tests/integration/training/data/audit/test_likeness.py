"""Likeness is one for the same image, nothing for an empty one, and blind to depth and colour."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.audit.likeness import candidates, detail, likeness


def _scan(seed: int) -> NDArray[np.uint8]:
    texture = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (240, 240)), (0, 0), 2.5)
    return np.clip(120 + 180 * texture, 0, 255).astype(np.uint8)


def test_likeness_of_a_image_with_itself_is_one_and_with_a_blank_one_nothing() -> None:
    one, blank = detail(_scan(0)), detail(np.full((90, 90), 7, np.uint8))
    assert likeness(one, one) == pytest.approx(1, abs=1e-6)
    assert likeness(one, blank) == likeness(blank, blank) == 0


def test_sixteen_bits_and_colour_give_the_detail_of_eight_bits_grey() -> None:
    grey = _scan(0)
    deep = detail(grey.astype(np.uint16) * 257)
    colour = detail(np.ascontiguousarray(np.repeat(grey[..., np.newaxis], 3, axis=2)))
    for other in (deep, colour):
        assert likeness(detail(grey), other) > 0.999


@pytest.mark.parametrize("turn", range(8))
def test_the_turn_of_a_candidate_undoes_the_turn_of_the_copy(turn: int) -> None:
    image = _scan(0)
    copy = np.rot90(image[:, ::-1] if turn > 3 else image, turn % 4)
    details = [detail(image), detail(np.ascontiguousarray(copy)), detail(_scan(1))]
    assert [(i, j) for i, j, _ in candidates(details)] == [(0, 1)]
    (first, second, undo) = candidates(details)[0]
    assert likeness(details[first], details[second], undo) > 0.999
