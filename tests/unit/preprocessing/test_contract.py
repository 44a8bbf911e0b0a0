"""The IDC contract against the original program's stack, and what every contract's tensor looks like."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    Colour,
    Interpolation,
    PixelType,
    Resize,
    Scale,
    Sharpen,
)

IDC = (
    Colour(ColourOrder.BGR),
    Resize(50, 50, Interpolation.LINEAR_EXACT, PixelType.UINT8),
    Sharpen(LAPLACIAN_SHARPEN_3X3, PixelType.UINT8, Border.REFLECT_101),
    Scale(255.0, 0.0),
)
KERNEL = np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]])
ONE_LEVEL_SHARPENED = 17 / 255
"""The kernel's weights sum to 17 without their signs: so far one level before it can move a value after it."""

PINNED_SHA256 = "4c6fecee06f9d57b02ef6477c10f2ff7fcedffc9f249ba56de8bc54c126a15fd"
"""Of a tensor made from arithmetic alone. Another value means other bits for every model with this contract."""

RANDOM = np.random.default_rng(41).integers(0, 256, (31, 47, 3), dtype=np.uint8)


def original(path: Path) -> np.ndarray:
    """Prepare a patch as the published program does."""
    image = cv2.imread(str(path))
    image = cv2.resize(image, (50, 50), interpolation=cv2.INTER_LINEAR)
    return cv2.filter2D(image, -1, KERNEL).astype(np.float32) / 255


def compare(path: Path) -> float:
    """Return how far the contract departs from the original program, in 0..1 of the range."""
    image = read(path)
    far = float(np.abs(preprocess(image, IDC) - original(path)).max())
    if image.pixels.shape[:2] == (50, 50):
        assert far == 0, f"{path.name}: {far * 255:.1f} levels from the original program"
    return far


def written(folder: Path, height: int, width: int, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = folder / f"{height}x{width}_{seed}.png"
    cv2.imwrite(str(path), pixels)
    return path


def test_the_contract_equals_the_original_program_at_50_by_50(tmp_path: Path, phantom_patches: list[Path]) -> None:
    for path in (*(written(tmp_path, 50, 50, seed) for seed in range(50)), *phantom_patches[:100]):
        assert compare(path) == 0


def test_at_other_sizes_it_stays_within_one_level_before_sharpening(tmp_path: Path) -> None:
    sizes = ((50, 49), (1, 50), (50, 1), (17, 50), (33, 47), (51, 51), (8, 8), (120, 75))
    found = {path.name: compare(path) for path in (written(tmp_path, *size, 7) for size in sizes)}
    name, far = max(found.items(), key=lambda item: item[1])
    assert far <= ONE_LEVEL_SHARPENED + 1e-6, f"{name}: {far * 255:.1f} levels after sharpening"


@pytest.mark.shared
def test_the_contract_equals_the_original_program_on_published_patches(shared_idc: Path) -> None:
    """Every 30th patch, and every patch from a slide's edge among the first 3000."""
    paths = sorted(shared_idc.rglob("*.png"))
    small = [path for path in paths[:3000] if read(path).pixels.shape[:2] != (50, 50)]
    chosen = {*paths[::30], *small}
    assert len(chosen) >= 200
    found = {path.name: compare(path) for path in chosen}
    name, far = max(found.items(), key=lambda item: item[1])
    assert far <= ONE_LEVEL_SHARPENED + 1e-6, f"{name}: {far * 255:.1f} levels after sharpening"


def test_the_tensor_has_its_pinned_bits_on_whatever_processor_this_runs() -> None:
    values = (np.arange(37 * 61 * 3, dtype=np.int64) ** 2 % 251).astype(np.uint8).reshape(37, 61, 3)
    tensor = preprocess(DecodedImage("p", values, ColourOrder.BGR), IDC)
    found = hashlib.sha256(tensor.astype("<f4").tobytes()).hexdigest()
    assert found == PINNED_SHA256, f"this processor's tensor has SHA-256 {found}"


@pytest.mark.parametrize("order", [ColourOrder.RGB, ColourOrder.BGR])
@pytest.mark.parametrize("target", ColourOrder)
def test_every_order_reaches_every_other(order: ColourOrder, target: ColourOrder) -> None:
    tensor = preprocess(DecodedImage("p", RANDOM, order), (Colour(target),))
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    if target is ColourOrder.GREY:
        assert tensor.shape == (31, 47, 1)
    else:
        assert np.array_equal(tensor, RANDOM if order is target else RANDOM[..., ::-1])


@pytest.mark.parametrize("target", ColourOrder)
def test_a_grey_image_fills_the_channels(target: ColourOrder) -> None:
    tensor = preprocess(DecodedImage("p", RANDOM[..., 0], ColourOrder.GREY), (Colour(target),))
    assert tensor.shape == (31, 47, 1 if target is ColourOrder.GREY else 3)
    assert np.array_equal(tensor, np.broadcast_to(RANDOM[..., :1], tensor.shape))


def test_the_same_colours_in_either_order_give_the_same_tensor() -> None:
    bgr = DecodedImage("p", RANDOM, ColourOrder.BGR)
    rgb = DecodedImage("p", np.ascontiguousarray(RANDOM[..., ::-1]), ColourOrder.RGB)
    assert np.array_equal(preprocess(bgr, IDC), preprocess(rgb, IDC))


def test_a_image_is_never_altered() -> None:
    pixels = RANDOM.copy()
    pixels.setflags(write=False)
    tensor = preprocess(DecodedImage("p", pixels, ColourOrder.BGR), IDC)
    assert tensor.shape == (50, 50, 3)
    assert 0 <= tensor.min() <= tensor.max() <= 1
    assert np.array_equal(pixels, RANDOM)
