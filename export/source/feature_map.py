"""The feature map of the out-of-distribution check: networks that output it, and its moments from Keras.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from export.converters.isolation import in_own_process
from export.errors import ExportError
from export.source.foreign.formats import KIND, formats_from
from export.source.keras_model import load_to_logits, save_sets
from export.source.stored_tensors import StoredTensors, Tensors, batches

Floats = npt.NDArray[np.float32]

_BATCH = 32


@dataclass(frozen=True)
class FeatureMap:
    """Networks for the converters, and the moments of the feature map.

    Attributes:
        network: the Keras network; its last output is the feature map if the spec has a check on network features.
        explained: the same with the outputs for heatmaps before the last.
        judged: moments for the parity images, float32 N×2C; None if the spec has no such check.
        golden: moments for the golden images; None likewise.
        ranges: moments for the calibration images; None likewise.
    """

    network: Path
    explained: Path
    judged: Floats | None = None
    golden: Floats | None = None
    ranges: Floats | None = None


def examine(
    network: Path, explained: Path, spec: ModelSpec, judged: Tensors, golden: Tensors, ranges: Tensors, scratch: Path
) -> FeatureMap:
    """Add the feature map of ``spec.familiarity`` to the outputs of both networks, and compute its moments.

    Args:
        network: network cut at its logits.
        explained: network with the outputs for heatmaps.
        spec: the spec; without a check on network features, the networks are returned unchanged.
        judged: the parity images, float32 N×H×W×C.
        golden: the golden images, float32 M×H×W×C.
        ranges: the calibration images, float32 L×H×W×C.
        scratch: folder for files of child processes.

    Raises:
        ExportError: the network has no such layer, or its map has another number of channels.
    """
    check = spec.network_check
    if check is None:
        return FeatureMap(network, explained)
    if network.suffix != ".keras":
        source = "a SavedModel" if network.is_dir() else KIND[formats_from(network)[0]]
        raise ExportError(
            f"{spec.name}: found a check on features of layer {check.layer} for {source}, whose layers are out of "
            "reach. Export the .keras file, or remove familiarity from the spec."
        )
    paths = [scratch / name for name in ("mapped.keras", "mapped-explained.keras", "moments.npy", "no-map.txt")]
    tensors = save_sets(scratch / "map-tensors.npy", (judged, golden, ranges))
    in_own_process(write_mapped, str(network), str(explained), check.layer, tensors, *map(str, paths))
    mapped, mapped_explained, moments_path, refusal = paths
    if refusal.is_file():
        raise ExportError(f"{spec.name}: {refusal.read_text(encoding='utf-8')}")
    moments = np.load(moments_path)
    if moments.shape[1] != 2 * check.channels:
        raise ExportError(
            f"{spec.name}: found {moments.shape[1] // 2} channels in layer {check.layer}, expected {check.channels} as "
            "in the spec's familiarity. Fit it again: python -m training decide --familiar"
        )
    return FeatureMap(mapped, mapped_explained, *np.split(moments, np.cumsum([len(judged), len(golden)])))


def write_mapped(
    network: str, explained: str, layer: str, tensors: str, out: str, out_explained: str, moments: str, refusal: str
) -> None:
    """Write the fields of :class:`FeatureMap`, each to its own file, or the reason why that is not possible."""
    import keras

    for source, target in ((network, out), (explained, out_explained)):
        model = load_to_logits(source)
        found = next((each for each in model.layers if each.name == layer), None)
        if found is None or len(found.output.shape) != 4 or len(found._inbound_nodes) != 1:
            Path(refusal).write_text(
                f"found no feature map {layer!r} in the network, expected a layer with one output H×W×C. Correct the "
                "layer of the spec's familiarity.",
                encoding="utf-8",
            )
            return
        keras.Model(model.inputs[0], [*model.outputs, found.output]).save(target)
        if source == network:
            np.save(moments, _moments(keras.Model(model.inputs[0], found.output), StoredTensors(tensors)))


def _moments(mapper: Any, tensors: Tensors) -> Floats:
    """Return each channel's mean and mean of squares, float32 N×2C, summed in float64."""
    rows = []
    for batch in batches(tensors, _BATCH):
        maps = np.asarray(mapper.predict_on_batch(batch), dtype=np.float64)
        rows.append(np.concatenate([maps.mean(axis=(1, 2)), np.square(maps).mean(axis=(1, 2))], axis=1))
    return np.concatenate(rows).astype(np.float32)
