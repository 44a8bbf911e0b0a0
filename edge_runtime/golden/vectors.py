"""``golden.npz``: pictures with the tensors, logits and decisions that they had where the bundle was made.

Every array is numeric, so that reading one can run nothing (``allow_pickle=False``). Keys, N pictures in one order:

    picture/<name>      uint8    the bytes of a PNG file
    tensor_sha256       uint8    N×32, SHA-256 of the float32 little-endian tensor
    tensor_sample       float32  N×S, the tensor's values at ``places``
    keras_logits        float32  N×outputs
    logits/<file name>  float32  N×outputs, one key a model file
    decisions/<format>  uint8    N, what Predictor answers with that format: index into ``DECISIONS``
    keras_maps          float32  N×h×w, TensorFlow's heatmap of the label with the highest score; may be absent
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
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
"""Values of a tensor that are kept; the SHA-256 stands for the rest."""

_STRIDE = 7919  # prime and longer than any tensor's side, so that no size shares a factor and no place comes twice
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Golden:
    """What is known of N images, all in the order of ``names``.

    Attributes:
        images: whole PNG files.
        digests: uint8 N×32, SHA-256 of each tensor.
        samples: float32 N×S, values of each tensor at :func:`places`.
        keras: float32 N×outputs, logits of the Keras model.
        logits: file name → float32 N×outputs, as computed on the exporting machine.
        decisions: format → N decisions of :class:`edge_runtime.Predictor`, guard band included.
        maps: float32 N×h×w, TensorFlow's heatmaps; None for a model without.
    """

    names: tuple[str, ...]
    images: tuple[bytes, ...]
    digests: npt.NDArray[np.uint8]
    samples: npt.NDArray[np.float32]
    keras: Logits
    logits: dict[str, Logits]
    decisions: dict[Format, tuple[Decision, ...]]
    maps: npt.NDArray[np.float32] | None = None


def places(size: int) -> npt.NDArray[np.int64]:
    """Return which values of a flattened tensor are kept, int64: ``min(size, SAMPLE)`` different indices."""
    return np.arange(min(size, SAMPLE), dtype=np.int64) * _STRIDE % size


def digest(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the SHA-256 of a tensor's little-endian bytes, uint8 (32,)."""
    data = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
    return np.frombuffer(hashlib.sha256(data).digest(), dtype=np.uint8)


def sample(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the values of a tensor at :func:`places`, float32 (S,)."""
    return tensor.reshape(-1)[places(tensor.size)]


def to_npz(golden: Golden) -> bytes:
    """Return the file's bytes; the same vectors give the same bytes under the same zlib."""
    arrays: dict[str, npt.NDArray[Any]] = {
        f"picture/{name}": np.frombuffer(data, dtype=np.uint8)
        for name, data in zip(golden.names, golden.images, strict=True)
    }
    arrays |= {"tensor_sha256": golden.digests, "tensor_sample": golden.samples, "keras_logits": golden.keras}
    arrays |= {f"logits/{name}": logits for name, logits in golden.logits.items()}
    for form, decided in golden.decisions.items():
        arrays[f"decisions/{form.value}"] = np.array([DECISIONS.index(d) for d in decided], dtype=np.uint8)
    if golden.maps is not None:
        arrays["keras_maps"] = golden.maps
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stubs take the keys for options
    return buffer.getvalue()


def from_npz(data: bytes, where: str) -> Golden:
    """Read the file's bytes, whose SHA-256 was checked before.

    Raises:
        BundleError: ``golden_unreadable``: no npz, a key is missing, or shapes do not fit each other.
    """
    try:
        golden = _golden(read_arrays(data))
        _check_shapes(golden)
    except (ValueError, TypeError, LookupError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(
            f"{where}: found no golden vectors that this release understands ({error}), expected those that "
            "python -m export writes. Update edge-predict, or export the model again.",
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
    )


def _below(prefix: str, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _check_shapes(golden: Golden) -> None:
    """Refuse vectors whose numbers of images or outputs differ (ValueError)."""
    count = len(golden.names)
    if count == 0:
        raise ValueError("no image in it")
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
            raise ValueError(f"{key} holds {array.dtype}, expected float32")
        if not np.isfinite(array).all():
            raise ValueError(f"{key} holds values that are no number")
    if golden.digests.shape[1] != 32 or golden.digests.dtype != np.uint8:
        raise ValueError("tensor_sha256 holds no SHA-256, expected 32 bytes an image")
    for name, logits in golden.logits.items():
        if logits.shape != golden.keras.shape:
            raise ValueError(f"logits/{name} has shape {logits.shape}, keras_logits {golden.keras.shape}")
    maps = golden.maps
    if maps is not None and not (maps.ndim == 3 and len(maps) == count and np.isfinite(maps).all()):
        raise ValueError(f"keras_maps has shape {maps.shape} or values that are no number, expected {count} maps")
    for form, decided in golden.decisions.items():
        if len(decided) != count:
            raise ValueError(f"decisions/{form.value} has {len(decided)} rows, expected {count}")
