"""Heatmaps of networks against TensorFlow's, on real images: the table in docs/research/heatmaps.md.

    python -m benchmarks heatmap-parity ARTIFACT=DATA… [--format tflite] [--format onnx]

For each artifact, fitted on the data set below DATA: 100 of its images, validation patients' first, through
TensorFlow's own Grad-CAM and through the float32 files with the head's matrices in NumPy, and the largest difference as
a share of each map's range. No int8 file is made, so that this takes minutes where an export takes hours.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from edge_runtime.bundle.manifest import Format, MapParity, Precision
from edge_runtime.bundle.saliency import Method, Saliency
from edge_runtime.explain.class_activation import from_npz
from export.conversion import ExportFolder, ParityImages
from export.converters import to_onnx, to_tflite
from export.converters.isolation import in_own_process
from export.source import keras_model
from export.source.source import from_artifact
from export.validation import heatmaps
from training.artifact import Artifact
from training.data.splits import Part, select
from training.data.tensors import load_tensors
from training.recipes import find_recipe

_ORDER = (Part.VALIDATION, Part.TEST, Part.TRAIN)
WRITERS = {Format.TFLITE: to_tflite.write_float32, Format.ONNX: to_onnx.write_float32}


@click.command()
@click.argument("pairs", nargs=-1, required=True, metavar="ARTIFACT=DATA...")
@click.option("--format", "wanted", type=click.Choice([form.value for form in Format]), multiple=True)
def heatmap_parity(pairs: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    """Print one row of Markdown for each artifact."""
    forms = tuple(Format(name) for name in wanted) or tuple(Format)
    worst = " | ".join(f"largest difference, {form.value}" for form in forms)
    print(f"| network | map | cells | of layer | matrices carried | images | blank | {worst} |")
    print("|" + "---|" * (7 + len(forms)))
    for pair in tqdm(pairs, unit="network", disable=None, leave=False):
        artifact, _, data = pair.rpartition("=")
        print(row(Artifact(Path(artifact)), Path(data), forms), flush=True)


def row(artifact: Artifact, data: Path, forms: tuple[Format, ...]) -> str:
    """Convert a network to float32 and compare its maps."""
    source = from_artifact(artifact, data)
    dataset, split = find_recipe(source.spec.name).source.load(data), artifact.split()
    samples = [each for part in _ORDER for each in select(dataset.samples, split, part)][: heatmaps.IMAGES]
    tensors = load_tensors(samples, source.spec, label="heatmaps").images
    with tempfile.TemporaryDirectory() as hidden:
        work = ExportFolder(Path(hidden) / "bundle", Path(hidden) / "scratch")
        work.bundle.mkdir()
        work.scratch.mkdir()
        network, logits, refusal = (work.scratch / name for name in ("network.keras", "logits.npy", "refusal.txt"))
        tensors_path = work.save("tensors", tensors)
        in_own_process(
            keras_model.write_network,
            *(str(source.model_path), tensors_path, source.spec, str(network), str(logits), str(refusal)),
        )
        judged = ParityImages(tensors, np.load(logits))
        explained = heatmaps.examine(network, source.spec, judged, ParityImages(tensors[:1], judged.logits[:1]), work)
        for form in forms:
            in_own_process(WRITERS[form], str(explained.network), str(work.model(form, Precision.FLOAT32)))
        found, rows = heatmaps.prove(explained, source.spec, tensors, work)
    return _text(source.spec.name, found, rows or (), explained)


def _text(name: str, found: Saliency, rows: tuple[MapParity, ...], explained: heatmaps.HeatmapReference) -> str:
    if found.method is Method.NONE and not rows:
        return f"| `{name}` | none: {found.why} |"
    carried = "–"
    if explained.weights is not None:
        carried = f"{sum(matrix.size for matrix in from_npz(explained.weights, name)):,}"
    height, width, channels = found.grid
    why = f" ({found.why})" if found.why else ""
    cells = (f"{height}×{width}×{channels}", f"`{found.layer}`", carried, str(rows[0].images), str(rows[0].blank))
    return " | ".join([f"| `{name}`", found.method.value + why, *cells, *(f"{row.worst:.1e}" for row in rows)]) + " |"
