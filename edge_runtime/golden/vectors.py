"""``golden.npz``: images with the tensors, logits and decisions computed on the exporting machine.

All arrays are numeric, so reading them cannot execute code (``allow_pickle=False``). Keys, for N images in one order:

    picture/<name>      uint8    bytes of a PNG file
    tensor_sha256       uint8    N×32, SHA-256 of the float32 little-endian tensor
    tensor_sample       float32  N×S, the tensor's values at ``places``
    keras_logits        float32  N×outputs
    logits/<file name>  float32  N×outputs, one key for each model file
    decisions/<format>  uint8    N, decision of Predictor with that format: index into ``DECISIONS``
    distances/<file name>  float64  N, out-of-distribution distance; absent without a check on network features
    keras_maps          float32  N×h×w, TensorFlow's heatmap of the label with the highest score; may be absent
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.runtime_manifest import Format
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import BundleError
from edge_runtime.serialisation.npz import read_arrays

GOLDEN = "golden.npz"
DECISIONS = (Decision.POSITIVE, Decision.NEGATIVE, Decision.REFER)
SAMPLE = 4096
"""Largest number of values of a tensor that are stored; the SHA-256 covers all values."""

_STRIDE = 7919  # a prime larger than any tensor's side: no size has it as a factor, so no index occurs twice
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Golden:
    """The golden vectors: N images with their results, in the order of ``names``.

    Attributes:
        names: names of the images.
        images: bytes of the PNG files.
        digests: uint8 N×32, SHA-256 of each tensor.
        samples: float32 N×S, values of each tensor at :func:`places`.
        keras: float32 N×outputs, logits of the Keras model.
        logits: file name → float32 N×outputs, as computed on the exporting machine.
        decisions: format → N decisions of :class:`edge_runtime.Predictor`, with the guard band.
        maps: float32 N×h×w, TensorFlow's heatmaps; None for a model without heatmaps.
        distances: file name → float64 N, out-of-distribution distances on the exporting machine; empty without a check
            on network features.
    """

    names: tuple[str, ...]
    images: tuple[bytes, ...]
    digests: npt.NDArray[np.uint8]
    samples: npt.NDArray[np.float32]
    keras: Logits
    logits: dict[str, Logits]
    decisions: dict[Format, tuple[Decision, ...]]
    maps: npt.NDArray[np.float32] | None = None
    distances: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def places(size: int) -> npt.NDArray[np.int64]:
    """Return the indices of the stored values of a flattened tensor: ``min(size, SAMPLE)`` different int64 numbers."""
    return np.arange(min(size, SAMPLE), dtype=np.int64) * _STRIDE % size


def digest(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the SHA-256 of a tensor's little-endian bytes, uint8 (32,)."""
    data = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
    return np.frombuffer(hashlib.sha256(data).digest(), dtype=np.uint8)


def sample(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the values of a tensor at :func:`places`, float32 (S,)."""
    return tensor.reshape(-1)[places(tensor.size)]


def to_npz(golden: Golden) -> bytes:
    """Return the bytes of ``golden.npz``; equal vectors give equal bytes with the same version of zlib."""
    arrays: dict[str, npt.NDArray[Any]] = {
        f"picture/{name}": np.frombuffer(data, dtype=np.uint8)
        for name, data in zip(golden.names, golden.images, strict=True)
    }
    arrays |= {"tensor_sha256": golden.digests, "tensor_sample": golden.samples, "keras_logits": golden.keras}
    arrays |= {f"logits/{name}": logits for name, logits in golden.logits.items()}
    arrays |= {f"distances/{name}": distances for name, distances in golden.distances.items()}
    for form, decided in golden.decisions.items():
        arrays[f"decisions/{form.value}"] = np.array([DECISIONS.index(d) for d in decided], dtype=np.uint8)
    if golden.maps is not None:
        arrays["keras_maps"] = golden.maps
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stubs treat the keys as options
    return buffer.getvalue()


def from_npz(data: bytes, where: str) -> Golden:
    """Return the golden vectors in the bytes of ``golden.npz``, whose SHA-256 was checked before.

    Raises:
        BundleError: ``golden_unreadable``: it is not an npz file, a key is missing, or shapes do not match.
    """
    try:
        golden = _golden(read_arrays(data))
        _check_shapes(golden)
    except (ValueError, TypeError, LookupError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(
            f"{where}: found no golden vectors that this release can read ({error}), expected a file by "
            "python -m export. Update edge-predict, or export the model again.",
            code="golden_unreadable",
        ) from None
    return golden


def _golden(arrays: dict[str, npt.NDArray[Any]]) -> Golden:
    images = _below("picture/", arrays)
    decisions = _below("decisions/", arrays)
    return Golden(
        names=tuple(images),
        images=tuple(array.astype(np.uint8, casting="equiv").tobytes() for array in images.values()),
        digests=arrays["tensor_sha256"],
        samples=arrays["tensor_sample"],
        keras=arrays["keras_logits"],
        logits=_below("logits/", arrays),
        decisions={Format(form): tuple(DECISIONS[int(i)] for i in row) for form, row in decisions.items()},
        maps=arrays.get("keras_maps"),
        distances=_below("distances/", arrays),
    )


def _below(prefix: str, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _check_shapes(golden: Golden) -> None:
    """Raise ValueError if shapes, dtypes or values are not valid."""
    count = len(golden.names)
    if count == 0:
        raise ValueError("it contains no image")
    rows: dict[str, npt.NDArray[Any]] = {
        "tensor_sha256": golden.digests,
        "tensor_sample": golden.samples,
        "keras_logits": golden.keras,
    }
    rows |= {f"logits/{name}": logits for name, logits in golden.logits.items()}
    for key, array in rows.items():
        if array.ndim != 2 or len(array) != count:
            raise ValueError(f"{key} has shape {array.shape}, expected {count} rows")
        if key != "tensor_sha256" and array.dtype != np.float32:
            raise ValueError(f"{key} has dtype {array.dtype}, expected float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{key} contains NaN or infinity")
    if golden.digests.shape[1] != 32 or golden.digests.dtype != np.uint8:
        raise ValueError("tensor_sha256 contains no SHA-256, expected 32 bytes an image")
    for name, logits in golden.logits.items():
        if logits.shape != golden.keras.shape:
            raise ValueError(f"logits/{name} has shape {logits.shape}, keras_logits {golden.keras.shape}")
    _check_distances(golden, count)
    maps = golden.maps
    if maps is not None and not (maps.ndim == 3 and len(maps) == count and np.isfinite(maps).all()):
        raise ValueError(f"keras_maps has shape {maps.shape} or contains NaN or infinity, expected {count} maps")
    for form, decided in golden.decisions.items():
        if len(decided) != count:
            raise ValueError(f"decisions/{form.value} has {len(decided)} rows, expected {count}")


def _check_distances(golden: Golden, count: int) -> None:
    """Raise ValueError if a file's distances are not ``count`` finite float64 numbers above 0."""
    for name, found in golden.distances.items():
        if found.shape != (count,) or found.dtype != np.float64 or not (np.isfinite(found) & (found > 0)).all():
            raise ValueError(
                f"distances/{name} has shape {found.shape}, expected {count} finite float64 numbers above 0"
            )
