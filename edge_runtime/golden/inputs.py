"""Load golden vectors, and preprocess the golden images as any other image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.runtime_manifest import FileEntry, Role
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import BundleError
from edge_runtime.golden.vectors import Golden, from_npz, places
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import Region, cut
from edge_runtime.preprocessing.preprocessor import preprocess

_LEAST_HALF_PX = 16.0  # even the smallest golden images then give a crop above the minimum size
_HALF_SHARE = 0.35


def load_golden(bundle: ModelFiles, entry: FileEntry) -> Golden:
    """Return the bundle's golden vectors, after checking their SHA-256 and that they belong to this model.

    Raises:
        IntegrityError: the file differs from the manifest.
        BundleError: ``golden_unreadable`` or ``golden_mismatch``.
    """
    where = f"{bundle.where}/{entry.name}"
    golden = from_npz(bundle.content(entry), where)
    spec = bundle.manifest.spec
    files = bundle.manifest.of_role(Role.MODEL)
    (width, height), values = spec.size_px, golden.samples.shape[1]
    expected = len(places(width * height * spec.channels))
    if (values, golden.keras.shape[1]) != (expected, spec.outputs):
        found = f"{values} tensor values and {golden.keras.shape[1]} logits an image"
        raise _mismatch(where, found, f"{expected} and {spec.outputs}")
    if set(golden.logits) != {entry.name for entry in files}:
        raise _mismatch(where, f"logits of {sorted(golden.logits)}", f"those of {[entry.name for entry in files]}")
    checked = {entry.name for entry in files} if spec.network_check is not None else set()
    if set(golden.distances) != checked:
        raise _mismatch(where, f"distances of {sorted(golden.distances)}", f"those of {sorted(checked)}")
    if set(golden.decisions) != bundle.formats():
        formats = sorted(form.value for form in golden.decisions)
        raise _mismatch(where, f"decisions of {formats}", f"those of {sorted(f.value for f in bundle.formats())}")
    return golden


def tensors_of(golden: Golden, spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Return the tensors of the golden images as computed on this machine, float32 N×H×W×C."""
    pairs = zip(golden.names, golden.images, strict=True)
    return np.stack([preprocess(golden_image(data, name, spec), spec.steps) for name, data in pairs])


def golden_region(image: DecodedImage, spec: ModelSpec) -> Region | None:
    """Return the region of ``image`` to classify; None for a model that classifies whole images.

    It lies off the centre. Crops of large images lie inside the image; crops of small ones extend over its edges.
    """
    if spec.region is None:
        return None
    height, width = image.pixels.shape[:2]
    half = max(_LEAST_HALF_PX, _HALF_SHARE * max(width, height))
    return Region((width - 1) * 0.4, (height - 1) * 0.6, half / spec.region.margin)


def golden_image(png: bytes, name: str, spec: ModelSpec) -> DecodedImage:
    """Return the input of the spec's steps for a golden image's PNG file: the image, or the crop of its region."""
    image = read(png, min_side_px=spec.min_side_px, name=name)
    return cut(image, golden_region(image, spec), spec.region)


def _mismatch(where: str, found: str, expected: str) -> BundleError:
    return BundleError(
        f"{where}: found {found}, expected {expected}. The golden vectors belong to another model: export it again.",
        code="golden_mismatch",
    )
