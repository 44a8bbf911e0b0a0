"""Write ``golden.npz``: synthetic images, and the bundle's results for them on the exporting machine.

No image of a data set is among them. They are few and small. Each covers one case: enlarging, reducing, odd sizes, the
input size of the network, grey images, steep edges, noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.bundle import Bundle, describe_files
from edge_runtime.bundle.containers import in_folder
from edge_runtime.bundle.manifest import FileEntry, Manifest, Precision, Role
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import Decision
from edge_runtime.golden.inputs import golden_image
from edge_runtime.golden.vectors import GOLDEN, Golden, digest, sample, to_npz
from edge_runtime.images.region import LEAST_PX
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.predictor import Predictor
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Window
from edge_runtime.selftest.golden_predictions import golden_decision
from export.errors import ExportError
from export.validation.parity import RUNTIMES, answer
from training.data.datasets.phantoms import patch

MAX_BYTES = 300_000
"""Largest size of ``golden.npz``, which should be small compared with the model files."""

_SEED = 20_240
_NOISE_PX = 48
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GoldenImage:
    """A descriptive name, and the bytes of a PNG file (grey or colour, no alpha channel)."""

    name: str
    png: bytes


def golden_images(spec: ModelSpec) -> tuple[GoldenImage, ...]:
    """Return the golden images for a spec; the same spec and OpenCV version give the same bytes."""
    low = spec.min_side_px if spec.region is None else max(spec.min_side_px, LEAST_PX)
    side = max(50, low)
    width, height = spec.size_px
    drawn: dict[str, Pixels] = {
        "phantom-malignant": _phantom(0, side, side, malignant=True),
        "phantom-benign": _phantom(1, side, side, malignant=False),
        "phantom-smallest": _phantom(2, low, low, malignant=True),
        "phantom-odd": _phantom(3, side + 13, side + 3, malignant=True),
        "phantom-grey": _phantom(4, side + 5, side + 7, malignant=False)[..., 1],
        "noise-colour": _noise(5, side + 1, low + 3),
        "noise-grey": _noise(6, low + 2, side + 9)[..., 0],
        "ramp-own-size": _ramp(max(width, low), max(height, low)),
        "stripes-large": _stripes(2 * max(width, low) + 5, max(height, low) + 11),
        "edge-grey": _edge(side + 3, side + 21),
    }
    first = spec.steps[0]
    if isinstance(first, Window):
        drawn = {name: _to_16_bits(pixels, first) for name, pixels in drawn.items()}
    return tuple(GoldenImage(name, _png(name, pixels)) for name, pixels in drawn.items())


def golden_tensors(spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Return the preprocessed :func:`golden_images`, float32 N×H×W×C, for the Keras logits."""
    return np.stack([preprocess(golden_image(p.png, p.name, spec), spec.steps) for p in golden_images(spec)])


def write_golden(folder: Path, manifest: Manifest, keras_logits: Logits, keras_maps: Logits | None = None) -> FileEntry:
    """Write ``golden.npz`` to a bundle's folder and return its entry, to be added to the manifest.

    Args:
        folder: folder with the model files that ``manifest`` names; ``bundle.json`` need not exist yet.
        manifest: manifest with the guard band, since decisions depend on it.
        keras_logits: the Keras model's logits for :func:`golden_tensors`, float32 N×outputs.
        keras_maps: TensorFlow's heatmaps for them, float32 N×h×w; None for a model without heatmaps.

    Raises:
        ExportError: the logits have another shape, or the file would exceed ``MAX_BYTES``.
    """
    spec = manifest.spec
    images, tensors = golden_images(spec), golden_tensors(spec)
    if keras_logits.shape != (len(images), spec.outputs):
        raise ExportError(
            f"golden vectors: found Keras logits of shape {keras_logits.shape}, expected "
            f"{(len(images), spec.outputs)}. Compute them for golden_tensors of the same spec."
        )
    entries, check = manifest.of_role(Role.MODEL), spec.network_check
    found = {entry.name: answer(folder, entry, tensors) for entry in entries}
    golden = Golden(
        names=tuple(image.name for image in images),
        images=tuple(image.png for image in images),
        digests=np.stack([digest(tensor) for tensor in tensors]),
        samples=np.stack([sample(tensor) for tensor in tensors]),
        keras=np.asarray(keras_logits, dtype=np.float32),
        logits={name: each.logits for name, each in found.items()},
        decisions={
            form: _decisions(folder, manifest, runtime, images)
            for form, runtime in RUNTIMES.items()
            if any(entry.format is form for entry in entries)
        },
        maps=keras_maps,
        distances={} if check is None else {name: check.distances_of(each.moments) for name, each in found.items()},
    )
    _write(folder / GOLDEN, to_npz(golden))
    return describe_files(folder, [(GOLDEN, Role.GOLDEN, None, None)])[0]


def _write(path: Path, data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise ExportError(
            f"{path.name}: found {len(data)} bytes, expected at most {MAX_BYTES}. "
            "Draw smaller golden images for a model of this size (export/validation/golden.py)."
        )
    path.write_bytes(data)


def _decisions(
    folder: Path, manifest: Manifest, runtime: Runtime, images: tuple[GoldenImage, ...]
) -> tuple[Decision, ...]:
    """Return the decisions of a device for the encoded images, including the guard band."""
    names = frozenset(entry.name for entry in manifest.files)
    bundle = Bundle(str(folder), manifest, in_folder(folder).read, names)
    with Predictor(bundle, runtime, Precision.INT8, threads=1) as predictor:
        return tuple(golden_decision(predictor, p.png, p.name) for p in images)


def _phantom(index: int, width_px: int, height_px: int, *, malignant: bool) -> npt.NDArray[np.uint8]:
    """Return a phantom patch, uint8 H×W×3 BGR, mirrored at its edges to fill the size."""
    drawn = patch(_SEED, index, index, malignant)[..., ::-1]
    return _repeated(drawn, width_px, height_px)


def _repeated(pixels: npt.NDArray[np.uint8], width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    beyond = [(0, max(0, height_px - pixels.shape[0])), (0, max(0, width_px - pixels.shape[1])), (0, 0)]
    return np.pad(pixels, beyond, mode="symmetric")[:height_px, :width_px]


def _noise(index: int, width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    rng = np.random.Generator(np.random.PCG64([_SEED, index]))
    return _repeated(rng.integers(0, 256, (_NOISE_PX, _NOISE_PX, 3), dtype=np.uint8), width_px, height_px)


def _ramp(width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Return three ramps, one per channel: horizontal, vertical and diagonal; uint8 H×W×3."""
    rows, columns = np.mgrid[:height_px, :width_px]
    return np.stack([columns, rows * 2, rows + columns], axis=-1).astype(np.uint8)  # 255 is followed by 0


def _stripes(width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Return stripes of 3, 5 and 4 px, which a wrong resize phase or filter changes; uint8 H×W×3."""
    rows, columns = np.mgrid[:height_px, :width_px]
    return np.stack([columns // 3 % 2 * 255, rows // 5 % 2 * 200, (rows + columns) // 4 % 2 * 255], -1).astype(np.uint8)


def _edge(width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Return the rough edge of a dark disc, uint8 H×W grey; values after sharpening exceed 0..255."""
    rows, columns = np.mgrid[:height_px, :width_px]
    inside = (rows - height_px // 2) ** 2 + (columns - width_px // 2) ** 2 < (min(width_px, height_px) // 3) ** 2
    return np.where(inside, 20, 230).astype(np.uint8)


def _to_16_bits(pixels: Pixels, window: Window) -> npt.NDArray[np.uint16]:
    """Return a 16-bit image that fills the window and exceeds it by an eighth at both ends."""
    span = window.high - window.low
    wide = window.low - span / 8 + pixels * (1.25 * span / 255)
    deep: npt.NDArray[np.uint16] = np.rint(np.clip(wide, 0, 65535)).astype(np.uint16)
    return deep


def _png(name: str, pixels: Pixels) -> bytes:
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
    if not done:
        raise ExportError(f"golden image {name}: OpenCV wrote no PNG, expected one. Reinstall opencv-python-headless.")
    return data.tobytes()
