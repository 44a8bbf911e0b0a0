"""The statistics of an image, against the same figures worked out the plain way, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.ood.detector import NAMES
from edge_runtime.ood.statistics import BLACK, SIDE_PX, TINT, WHITE, statistics

SHAPES = [(50, 50, 3), (8, 8), (9, 40, 3), (64, 64), (65, 64, 3), (130, 47), (200, 333, 3), (500, 421), (5, 4), (1, 1)]


def pixels(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A ramp with blobs and noise, so that no statistic is at its end."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    ground = 128 + 90 * np.sin(x / 7) * np.cos(y / 11) + 40 * (y / shape[0] - 0.5)
    ground = ground if len(shape) == 2 else ground[..., None] * np.array([0.8, 0.9, 1.1])
    return (ground + rng.normal(0, 12, shape)).clip(0, 255).astype(np.uint8)


def image(found: np.ndarray, order: ColourOrder = ColourOrder.BGR) -> DecodedImage:
    return DecodedImage("p", np.ascontiguousarray(found), order if found.ndim == 3 else ColourOrder.GREY)


def plain_overview(found: np.ndarray) -> np.ndarray:
    """Means of blocks, a loop over blocks."""
    if max(found.shape[:2]) <= SIDE_PX:
        return found
    height, width = found.shape[:2]
    down, across = min(height, SIDE_PX), min(width, SIDE_PX)
    out = np.empty((down, across, *found.shape[2:]), np.uint8)
    for i in range(down):
        for j in range(across):
            rows = slice(i * height // down, (i + 1) * height // down)
            block = found[rows, j * width // across : (j + 1) * width // across]
            out[i, j] = np.floor(block.mean(axis=(0, 1), dtype=np.float64) + 0.5)
    return out


def plain_grey(bgr: np.ndarray) -> np.ndarray:
    """OpenCV's grey: .114 B + .587 G + .299 R in 15 bits of fraction, rounded."""
    if bgr.ndim == 2:
        return bgr.astype(np.float64)
    return ((bgr.astype(np.int64) @ [3735, 19235, 9798] + (1 << 14)) >> 15).astype(np.float64)


def energy(grey: np.ndarray, lag: int, axis: int) -> float:
    moved = np.moveaxis(grey, axis, 0)
    return float(np.mean((moved[lag:] - moved[:-lag]) ** 2)) if len(moved) > lag else 0.0


def laplacian(grey: np.ndarray, lag: int) -> np.ndarray:
    found = [
        4 * grey[y, x] - grey[y - lag, x] - grey[y + lag, x] - grey[y, x - lag] - grey[y, x + lag]
        for y in range(lag, grey.shape[0] - lag)
        for x in range(lag, grey.shape[1] - lag)
    ]
    return np.array(found)


def plain(bgr: np.ndarray) -> dict[str, float]:
    """Return every statistic by its name, from its definition."""
    view, (height, width) = plain_overview(bgr), bgr.shape[:2]
    grey = plain_grey(view)
    y, x = max(0, (height - SIDE_PX) // 2), max(0, (width - SIDE_PX) // 2)
    centre = plain_grey(bgr[y : y + SIDE_PX, x : x + SIDE_PX])
    colour = np.repeat(view[..., None], 3, axis=2) if view.ndim == 2 else view
    blue, green, red = (colour[..., i].astype(np.float64) for i in range(3))
    levels = np.sort(grey.ravel())
    across, down = energy(grey, 1, 1), energy(grey, 1, 0)
    found = {
        "red_mean": (red - green).mean() / 255,
        "red_ratio": (red - green).mean() / (271 - grey.mean()),
        "blue_mean": (blue - green).mean() / 255,
        "red_spread": (red - green).std() / 255,
        "blue_spread": (blue - green).std() / 255,
        "colourless": ((abs(red - green) + abs(blue - green) <= TINT) & (grey <= WHITE)).mean(),
        "black": np.sqrt((grey <= BLACK).mean()),
        "direction": (across - down) / (across + down + 16),
        "top": (grey[: max(1, len(grey) // 4)].mean() - grey.mean()) / 255,
        "centre": centre.mean() / 255,
        "centre_roughness_4": (energy(centre, 4, 0) + energy(centre, 4, 1)) / (4 * centre.var() + 16),
    }
    for share in (2, 25, 50, 75, 98):
        found[f"level_{share:02}"] = levels[max(1, int(np.ceil(share / 100 * grey.size - 1e-9))) - 1] / 255
    for lag in (1, 2, 4):
        both = energy(grey, lag, 0) + energy(grey, lag, 1)
        found |= {f"change_{lag}": np.sqrt(both) / 255, f"roughness_{lag}": both / (4 * grey.var() + 16)}
    for lag in (2, 4, 16):
        blobs = laplacian(grey, lag)
        found[f"blobs_{lag}"] = (blobs * abs(blobs)).sum() / ((blobs**2).sum() + 16 * blobs.size) if blobs.size else 0.0
    fine = laplacian(centre, 1)
    found["grain"] = np.sqrt((fine**2).mean()) / 1020 if fine.size else 0.0
    neighbours = np.concatenate([np.diff(centre, axis=0).ravel(), np.diff(centre, axis=1).ravel()])
    found["same"] = np.sqrt((neighbours == 0).mean()) if neighbours.size else 0.0
    return {name: float(found[name]) for name in NAMES}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_statistic_is_what_its_definition_gives(shape: tuple[int, ...]) -> None:
    found = pixels(shape)
    measured, expected = statistics(image(found)), plain(found)
    assert measured.shape == (len(NAMES),) and measured.dtype == np.float64
    off = {n: (m, e) for (n, e), m in zip(expected.items(), measured, strict=True) if abs(m - e) > 1e-9}
    assert not off


def test_no_image_has_a_statistic_that_is_no_number() -> None:
    for level in (0, 127, 255):
        for shape in SHAPES:
            assert np.isfinite(statistics(image(np.full(shape, level, np.uint8)))).all()


@pytest.mark.parametrize("shape", [(50, 50, 3), (64, 33), (128, 192, 3)], ids=str)
def test_a_mirrored_image_has_the_same_statistics_and_an_upside_down_one_has_not(shape: tuple[int, ...]) -> None:
    found = pixels(shape)
    as_is = statistics(image(found))
    np.testing.assert_array_equal(statistics(image(found[:, ::-1])), as_is)
    turned = dict(zip(NAMES, statistics(image(found[::-1])) - as_is, strict=True))
    assert turned["top"] != 0


def test_the_order_of_channels_is_only_a_way_of_storing() -> None:
    found = pixels((70, 90, 3))
    np.testing.assert_array_equal(
        statistics(image(found[..., ::-1], ColourOrder.RGB)), statistics(image(found, ColourOrder.BGR))
    )


@pytest.mark.parametrize("shape", [(50, 50), (130, 200)], ids=str)
def test_grey_is_the_same_as_colour_of_equal_channels_and_as_its_16_bits(shape: tuple[int, ...]) -> None:
    found = pixels(shape)
    as_is = statistics(image(found))
    np.testing.assert_array_equal(statistics(image(np.repeat(found[..., None], 3, axis=2))), as_is)
    np.testing.assert_array_equal(statistics(image(found.astype(np.uint16) << 8)), as_is)


def test_inverting_a_image_turns_its_blobs_round() -> None:
    found = pixels((60, 60))
    as_is, turned = (dict(zip(NAMES, statistics(image(p)), strict=True)) for p in (found, 255 - found))
    for name in ("blobs_2", "blobs_4", "blobs_16"):
        assert turned[name] == -as_is[name] != 0
