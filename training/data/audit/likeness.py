"""Likeness of two images: candidates by coarse detail, then alignment, then correlation of fine detail.

1. *Coarse*: 64×64 grey minus its Gaussian of 4 px, halved in size. This leaves edges and removes the bright-to-dark
   gradient that all ultrasound images share. The candidates of an image are its ``NEIGHBOURS`` best correlations of at
   least ``CANDIDATE``, over eight rotations and mirrorings.
2. *Alignment*: the affine map that maximises the enhanced correlation coefficient (Evangelidis & Psarakis
   2008, IEEE TPAMI 30:1858).
3. *Fine*: 128×128 minus its Gaussian of 2 px, divided by the local standard deviation, as in the structure
   term of SSIM (Wang et al. 2004, IEEE TIP 13:600). Without the division, the skin line makes all mammograms similar.
   The likeness is the normalised correlation over the overlap, which must be at least half of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge_runtime.images.formats.decoding import Pixels

CANDIDATE = 0.25
NEIGHBOURS = 8
FLAT = 1.0
"""Minimum standard deviation of the coarse detail, in grey levels of 255; emptier images are not compared."""

_COARSE_PX, _COARSE_SIGMA_PX = 64, 4.0
_FINE_PX, _FINE_SIGMA_PX, _FINE_FLOOR = 128, 2.0, 4.0
_PROMISING = 0.1
_BLOCK = 512
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-4)

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageDetail:
    """An image without its slow shading: coarse float32 64×64, fine float32 128×128."""

    coarse: Plane
    fine: Plane


def detail(pixels: Pixels) -> ImageDetail:
    """Return the detail of a uint8 or uint16 image, H×W or H×W×3 BGR."""
    grey: npt.NDArray[Any] = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim == 3 else pixels
    scale = 255.0 / float(np.iinfo(pixels.dtype).max)
    fine = _high_pass(grey, _FINE_PX, _FINE_SIGMA_PX, scale)
    spread = cv2.GaussianBlur(fine * fine, (0, 0), _FINE_SIGMA_PX)
    return ImageDetail(
        _high_pass(grey, _COARSE_PX, _COARSE_SIGMA_PX, scale),
        np.asarray(fine / np.sqrt(spread + _FINE_FLOOR**2), dtype=np.float32),
    )


def likeness(first: ImageDetail, second: ImageDetail, turn: int = 0) -> float:
    """Rotate and align ``second``; return the correlation of fine detail over the overlap, 0 if alignment fails."""
    moved = _turned(second.fine, turn)
    start = np.eye(2, 3, dtype=np.float32)
    best = _correlation(first.fine, moved, start)
    coarse = _align(first.coarse, _turned(second.coarse, turn), start)
    if coarse is not None:
        larger = _scaled(coarse, _FINE_PX / _COARSE_PX)
        value = _correlation(first.fine, moved, larger)
        best, start = (value, larger) if value > best else (best, start)
    refined = _align(first.fine, moved, start) if best > _PROMISING else None
    return best if refined is None else max(best, _correlation(first.fine, moved, refined))


def candidates(details: Sequence[ImageDetail]) -> list[tuple[int, int, int]]:
    """Return (row, later row, turn) of the candidate pairs, sorted; the turn applies to the later row."""
    halves = np.stack([cv2.resize(d.coarse, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for d in details])
    norms = np.linalg.norm(halves, axis=(1, 2), keepdims=True)
    empty = np.array([d.coarse.std() < FLAT for d in details])
    halves = np.where(empty[:, np.newaxis, np.newaxis], 0, halves / np.maximum(norms, 1e-6))
    turns = [_turned(np.asarray(halves, dtype=np.float32), turn).reshape(len(halves), -1) for turn in range(8)]
    found: dict[tuple[int, int], int] = {}
    for start in tqdm(range(0, len(halves), _BLOCK), desc="comparing", unit="block", disable=None, leave=False):
        found.update(_best(turns, start))
    return sorted((i, j, turn) for (i, j), turn in found.items())


def _best(turns: Sequence[Plane], start: int) -> dict[tuple[int, int], int]:
    """Return (row, later row) → turn, for the best candidates of one block of rows."""
    rows = turns[0][start : start + _BLOCK]
    alike = rows @ turns[0].T
    for turned in turns[1:]:
        np.maximum(alike, rows @ turned.T, out=alike)
    alike[np.arange(len(rows)), start + np.arange(len(rows))] = -1
    found = {}
    for row in np.flatnonzero(alike.max(axis=1) >= CANDIDATE):
        near = np.flatnonzero(alike[row] >= CANDIDATE)
        for column in near[np.argsort(-alike[row, near], kind="stable")][:NEIGHBOURS]:
            i, j = sorted((start + int(row), int(column)))
            found[i, j] = int(np.argmax([turns[0][i] @ turned[j] for turned in turns]))
    return found


def _turned(planes: Plane, turn: int) -> Plane:
    """Return the planes rotated by ``turn`` % 4 quarter turns in the last two axes; mirrored first if ``turn`` > 3."""
    return np.ascontiguousarray(np.rot90(planes[..., ::-1] if turn > 3 else planes, turn % 4, axes=(-2, -1)))


def _high_pass(grey: npt.NDArray[Any], side_px: int, sigma_px: float, scale: float) -> Plane:
    small = cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.float32) * scale
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), sigma_px), dtype=np.float32)


def _align(first: Plane, second: Plane, warp: Plane) -> Plane | None:
    try:
        return np.asarray(cv2.findTransformECC(first, second, warp.copy(), cv2.MOTION_AFFINE, _STOP, None)[1])
    except cv2.error:  # no convergence: the images are not similar
        return None


def _scaled(warp: Plane, factor: float) -> Plane:
    """Return the same affine map for planes ``factor`` times larger (pixel centres at +0.5)."""
    larger = warp.copy()
    half = (factor - 1) / 2
    larger[:, 2] = factor * warp[:, 2] + half - warp[:, :2] @ np.full(2, half, dtype=np.float32)
    return larger


def _correlation(first: Plane, second: Plane, warp: Plane) -> float:
    """Return the normalised correlation over the overlap; 0 if it is below one half, or the scale is outside 0.5..2."""
    scales = np.linalg.svd(warp[:, :2], compute_uv=False)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    inside = cv2.warpAffine(np.ones_like(second), warp, second.shape, flags=flags) > 0.99
    if scales.min() < 0.5 or scales.max() > 2 or inside.mean() < 0.5:
        return 0.0
    one, two = first[inside], cv2.warpAffine(second, warp, second.shape, flags=flags)[inside]
    spread = float(one.std() * two.std())
    return float(np.mean((one - one.mean()) * (two - two.mean()))) / spread if spread > 1e-6 else 0.0
