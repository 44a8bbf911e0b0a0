"""Phantoms of H&E breast tissue: 50x50 px images drawn by arithmetic, in the published IDC layout.

Phantoms are synthetic and contain no tissue, patient data or published pixels. A figure measured on them tests the
software (training, calibration, export, joining a slide); it has no medical meaning.

Colour: optical densities add up as in the Beer-Lambert law, ``pixel = white * 10 ** -(h * H + e * E)``, with
the stain vectors of Ruifrok & Johnston 2001 (Anal Quant Cytol Histol 23:291-299) varied a little per patient.
Nuclei: after the nuclear-pleomorphism criterion of Elston & Ellis 1991 (Histopathology 19:403-410) those of
carcinoma are larger and vary more in size and outline; here they are more numerous too. Darker nuclei are not
part of the criterion: one stain strength serves both classes. All amounts are the project's own choice, and
the classes overlap on purpose: benign lobules are crowded, some malignant patches hold few nuclei.

Except for the final power and rounding, pixels are computed with ``+ - * /``, square roots and ``random()`` only. IEEE
754 rounds these equally on every platform (no sines, no matrix products, no drawing library).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

Array = NDArray[np.float64]
SIDE_PX: Final = 50
LAYOUT_DIR: Final = "IDC_regular_ps50_idx5"
FIRST_PATIENT_ID: Final = 90001  # published ids end below 20000
_ORIGIN_PX: Final = 1001  # published positions are multiples of 50 plus 1
_WHITE: Final = 243.0
_HAEMATOXYLIN: Final = (0.650, 0.704, 0.286)  # R, G, B; Ruifrok & Johnston 2001
_EOSIN: Final = (0.072, 0.990, 0.105)
_ROWS: Final[Array] = np.repeat(np.arange(SIDE_PX, dtype=np.float64)[:, None], SIDE_PX, axis=1)
_COLS: Final[Array] = _ROWS.T.copy()


@dataclass(frozen=True)
class PhantomSet:
    """Size of a phantom set: patients x patches, approximate share (0..1) of malignant patches, and seed (>= 0)."""

    patients: int = 40
    patches_per_patient: int = 24
    malignant_share: float = 0.35
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a count is below 1, the share is outside 0..1, or the seed is negative.
        """
        counts = min(self.patients, self.patches_per_patient)
        if counts < 1 or self.seed < 0 or not 0 <= self.malignant_share <= 1:
            raise ValueError(f"found {self}; expected counts >= 1, a share in 0..1, a seed >= 0; correct it")


class _Look(NamedTuple):  # parameters that all patches of a patient share
    haematoxylin: Array  # optical density (R, G, B) per unit of stain
    eosin: Array
    magnification: float
    fibre_px: float
    fibre_strength: float


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _between(rng: np.random.Generator, low: float, high: float, count: int = 1) -> Array:
    """Return ``count`` uniform numbers; not by ``rng.uniform``, whose C code may fuse the multiply and the add."""
    return low + (high - low) * rng.random(count)


def _one(rng: np.random.Generator, low: float, high: float) -> float:
    return float(_between(rng, low, high)[0])


def _directions(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Return unit vectors from the rational points of the circle, with angles within a half turn."""
    t = _between(rng, -1.0, 1.0, count)
    return (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)


def _look(seed: int, patient: int) -> _Look:
    rng = _rng(seed, 0, patient)
    h = np.array(_HAEMATOXYLIN) + _between(rng, -0.05, 0.05, 3)
    e = np.array(_EOSIN) + _between(rng, -0.03, 0.05, 3)
    e[2] += _one(rng, 0.2, 0.5)  # the pink of scanned slides absorbs more blue than the published eosin
    h, e = h * _one(rng, 0.75, 1.25), e * _one(rng, 0.7, 1.35)
    return _Look(h, e, _one(rng, 0.88, 1.14), _one(rng, 1.5, 4.0), _one(rng, 0.4, 0.9))


def _noise(rng: np.random.Generator, along_px: float, across_px: float) -> Array:
    """Return smooth value noise (50x50, 0..1), stretched along a random direction."""
    (c,), (s,) = _directions(rng, 1)
    lattice, y, x = rng.random((128, 128)), _ROWS - 25.0, _COLS - 25.0
    u, v = (x * c + y * s) / along_px + 64.0, (y * c - x * s) / across_px + 64.0
    i, j = u.astype(np.intp), v.astype(np.intp)  # both positive: the floor
    a, b = u - i, v - j
    a, b = a * a * (3.0 - 2.0 * a), b * b * (3.0 - 2.0 * b)
    low = lattice[i, j] * (1.0 - b) + lattice[i, j + 1] * b
    high = lattice[i + 1, j] * (1.0 - b) + lattice[i + 1, j + 1] * b
    return np.asarray(low * (1.0 - a) + high * a)


def _tissue(rng: np.random.Generator, fat: float, cleft: float, magnification: float) -> Array:
    """Return the share of stained tissue (50x50, 0..1); clefts and fat cells with thin walls are empty."""
    pitch = 9.0 * magnification
    grid = np.arange(-1.0, SIDE_PX / pitch + 1.0)
    rows = (np.repeat(grid, grid.size) + rng.random(grid.size**2))[:, None, None] * pitch
    cols = (np.tile(grid, grid.size) + rng.random(grid.size**2))[:, None, None] * pitch
    squared = (_ROWS - rows) * (_ROWS - rows) + (_COLS - cols) * (_COLS - cols)
    first, second = np.sqrt(np.partition(squared, 1, axis=0)[:2])
    globule = np.clip((second - first - 0.4) / 1.4, 0.0, 1.0)
    region = np.clip((fat - _noise(rng, 22.0, 22.0)) * 12.0, 0.0, 1.0)
    crack = np.clip((cleft - _noise(rng, 9.0, 2.2)) * 8.0, 0.0, 1.0)
    return np.asarray((1.0 - 0.97 * globule * region) * (1.0 - 0.95 * crack))


def _places(rng: np.random.Generator, count: int, clustered: float) -> Array:
    """Return rows and columns (2, count, 1, 1) of nuclei: a share ``clustered`` in one lobule, the rest anywhere."""
    anywhere = -1.0 + 52.0 * rng.random((2, count))
    spread = (rng.random((2, count)) + rng.random((2, count)) - 1.0) * _one(rng, 8.0, 14.0)
    lobule = _between(rng, 8.0, 42.0, 2)[:, None] + spread
    return np.where(rng.random(count) < clustered, lobule, anywhere)[:, :, None, None]


def _depth(rng: np.random.Generator, places: Array, mean_px: float, spread: float, lobes: float) -> Array:
    """Return the depth in pixels inside each nucleus's outline, (count, 50, 50): an oval with three lobes."""
    shape = (places.shape[1], 1, 1)
    radius = mean_px * _between(rng, 1.0 - spread, 1.0 + spread, shape[0]).reshape(shape)
    dy, dx = _ROWS - places[0], _COLS - places[1]
    distance = np.sqrt(dy * dy + dx * dx) + 1e-9
    c, s = _directions(rng, shape[0])
    cosine = (dx * c.reshape(shape) + dy * s.reshape(shape)) / distance
    two, three = 2.0 * cosine * cosine - 1.0, (4.0 * cosine * cosine - 3.0) * cosine  # cos 2t, cos 3t
    oval = _between(rng, 0.0, 0.3, shape[0]).reshape(shape)
    lobe = _between(rng, -lobes, lobes, shape[0]).reshape(shape)
    return np.asarray(radius * (1.0 + oval * two + lobe * three) - distance)


def _nuclei(rng: np.random.Generator, malignant: bool, magnification: float) -> Array:
    """Return the haematoxylin of nuclei and a faint rim of cytoplasm (50x50, 0..1)."""
    few, lobule = float(rng.random() * rng.random()), not malignant and float(rng.random()) < 0.3
    count = int(26 + _one(rng, 0.0, 130.0)) if malignant else int(8 + 95 * few + 50 * lobule)
    area = _one(rng, 1.5, 2.6) if malignant else _one(rng, 0.85, 1.25)  # times the usual benign nucleus
    spread, lobes = (0.38, 0.28) if malignant else (0.18, 0.12)
    mean_px = 1.1 * magnification * float(np.sqrt(area))
    depth = _depth(rng, _places(rng, count, 0.75 * lobule), mean_px, spread, lobes)
    body = np.clip(depth + 0.5, 0.0, 1.0) * _between(rng, 0.6, 1.0, count)[:, None, None]
    return np.asarray(np.maximum(body, 0.3 * np.clip(depth / 2.0 + 1.0, 0.0, 1.0)).max(axis=0))


def patch(seed: int, patient: int, index: int, malignant: bool) -> NDArray[np.uint8]:
    """Return one phantom, (50, 50, 3) uint8 RGB; the same arguments give the same pixels."""
    look, rng = _look(seed, patient), _rng(seed, 1, patient, index)
    fat = _one(rng, -0.4, 0.55) if malignant else _one(rng, -0.3, 1.0)
    tissue = _tissue(rng, fat, _one(rng, 0.0, 0.35), look.magnification)
    fibres = 0.6 * _noise(rng, 4.0 * look.fibre_px, look.fibre_px) + 0.4 * _noise(rng, 2.0, 1.2)
    wash = _one(rng, 0.02, 0.3) if malignant else _one(rng, 0.0, 0.2)
    nuclei = _nuclei(rng, malignant, look.magnification)
    h = (0.62 * nuclei + wash * _noise(rng, 12.0, 12.0)) * tissue
    e = _one(rng, 0.16, 0.3) * (1.0 - look.fibre_strength + 2.0 * look.fibre_strength * fibres) * tissue
    density = h[..., None] * look.haematoxylin + e[..., None] * look.eosin
    density += 0.03 * (rng.random(density.shape) - 0.5)
    return np.rint(np.clip(_WHITE * np.power(10.0, -density), 0.0, 255.0)).astype(np.uint8)


def _labels(phantoms: PhantomSet, patient: int, columns: int) -> NDArray[np.bool_]:
    """Return True for malignant patches, those nearest to a tumour's centre; some patients have none or only them."""
    rng, count = _rng(phantoms.seed, 2, patient), phantoms.patches_per_patient
    share = min(1.0, phantoms.malignant_share * _one(rng, 0.4, 1.7))
    if 0.0 < phantoms.malignant_share < 1.0 and (patient % 6 == 5 or patient % 16 == 7):
        share = float(patient % 16 == 7)  # by patient number, not at random: small sets have such patients too
    row, column = np.divmod(np.arange(count), columns)
    dy, dx = row - _one(rng, 0.0, columns), column - _one(rng, 0.0, columns)
    labels = np.zeros(count, dtype=np.bool_)
    labels[np.argsort(dy * dy + dx * dx, kind="stable")[: round(share * count)]] = True
    return labels


def write(phantoms: PhantomSet, root: Path) -> int:
    """Write ``IDC_regular_ps50_idx5/<patient>/<0|1>/*.png`` below ``root``; return the number of files.

    Raises:
        FileExistsError: ``root`` already contains that folder; real patches are never mixed with phantoms.
    """
    folder = root / LAYOUT_DIR
    if folder.exists():
        raise FileExistsError(f"found {folder}; expected a root without it; choose another root or remove it")
    columns = math.isqrt(phantoms.patches_per_patient - 1) + 1  # the smallest square block that contains all
    for patient in tqdm(range(phantoms.patients), desc="phantoms", unit="patient", disable=None):
        name = str(FIRST_PATIENT_ID + patient)
        for index, malignant in enumerate(_labels(phantoms, patient, columns).tolist()):
            row, column = divmod(index, columns)
            x, y, label = _ORIGIN_PX + SIDE_PX * column, _ORIGIN_PX + SIDE_PX * row, int(malignant)
            file = folder / name / str(label) / f"{name}_idx5_x{x}_y{y}_class{label}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            bgr = cv2.cvtColor(patch(phantoms.seed, patient, index, malignant), cv2.COLOR_RGB2BGR)
            file.write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
    return phantoms.patients * phantoms.patches_per_patient
