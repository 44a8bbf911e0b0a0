"""Export a source model to a bundle: check, convert, embed, compare, measure, and write card and manifest.

All work happens in a hidden folder beside ``out``, which is renamed to ``out`` at the end. After a failure, nothing is
left at ``out``.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Manifest
from export.conversion import ExportFolder, Logits, ParityImages, convert
from export.converters.isolation import begin_imports, in_own_process
from export.errors import ExportError
from export.progress import ExportProgress, Stage
from export.proof import prove
from export.quantisation.search import SearchPlan
from export.reference import Validation, add_if_enough, validation_of
from export.source import feature_map, keras_model
from export.source.calibration_images import Reading
from export.source.foreign import network as foreign
from export.source.foreign.formats import KIND, foreign_format
from export.source.foreign.network import reference_of
from export.source.source import SourceModel, from_artifact
from export.source.stored_tensors import Tensors
from export.validation import heatmaps
from export.validation.contradiction import contradict
from export.validation.golden import golden_tensors
from training.artifact import Artifact


def export(artifact: Artifact, calibration: Path, data: Path | None, out: Path, *, float16: bool = False) -> Manifest:
    """Write the bundle of ``artifact`` to ``out``; see :func:`export_source`.

    Args:
        data: folder of the published data set, whose validation patients give the parity images; None to use the
            calibration images for parity.
    """
    source = from_artifact(artifact, data)
    return export_source(source, calibration, out, float16=float16, reference=validation_of(artifact, data))


def export_source(
    source: SourceModel,
    calibration: Path,
    out: Path,
    *,
    float16: bool = False,
    insist: bool = False,
    peers: bool = False,
    reference: Validation | None = None,
) -> Manifest:
    """Write the bundle of ``source`` to ``out`` and return its manifest.

    Args:
        calibration: folder of images, or folder with a ``samples.csv`` that lists published images.
        float16: also write a TFLite file with float16 weights.
        insist: export even if the labelled images contradict the model; the model card then has a warning.
        peers: compare the int8 files with other quantisers and settings.
        reference: validation patients, on whose images the reference for drift is measured; None to leave it out.

    Raises:
        ExportError: model and spec contradict each other, or a converter, an image or a comparison failed. Nothing is
            left at ``out``.
    """
    check_wanted(source, out, float16=float16)
    begin_imports()
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as hidden,
        ExportProgress(float16=float16) as progress,
    ):
        work = ExportFolder(Path(hidden) / "bundle", Path(hidden) / "scratch")
        work.bundle.mkdir()
        work.scratch.mkdir()
        progress.begin(Stage.READ)
        images, held_out = source.images(calibration, Reading(work.scratch))
        drawn = golden_tensors(source.spec)
        progress.begin(Stage.KERAS)
        network, logits = examine(source, work, held_out.tensors, images.tensors, drawn)
        judged, ranges = ParityImages(held_out.tensors, logits[0]), ParityImages(images.tensors, logits[1])
        described = contradict(source, held_out, logits[0], network, work.scratch, insist)
        progress.begin(Stage.HEATMAPS)
        explained = heatmaps.examine(network, source.spec, judged, ParityImages(drawn, logits[2]), work)
        mapped = feature_map.examine(
            network, explained.network, source.spec, judged.tensors, drawn, ranges.tensors, work.scratch
        )
        networks = mapped.network, mapped.explained
        attempts = convert(
            *(*networks, source.spec, judged, ranges, work),
            float16=float16,
            moments=mapped.ranges,
            progress=progress,
            plan=SearchPlan(peers=peers),
        )
        progress.begin(Stage.PROVE)
        same = "the same images" if held_out is images else images.source
        described = replace(described, source=f"{described.source}; int8 ranges from {same}")
        manifest = prove(source, attempts, described, judged, logits[2], explained, mapped, work, reference_of(network))
        find(work.bundle).verify()
        if reference is not None:
            manifest = add_if_enough(work.bundle, reference, manifest)
        work.bundle.rename(out)
    return manifest


def check_wanted(source: SourceModel, out: Path | None, *, float16: bool) -> None:
    """Refuse a path for a bundle that exists, and a float16 file of a model that is not of Keras.

    Raises:
        ExportError: one of both.
    """
    if out is not None and out.exists():
        raise ExportError(f"{out}: already exists and is not overwritten; give another --out or remove it.")
    if float16 and (form := foreign_format(source.model_path)) is not None:
        raise ExportError(
            f"{source.model_path}: found {KIND[form]}, expected a Keras model for --float16. Leave it out."
        )


def examine(source: SourceModel, work: ExportFolder, *sets: Tensors) -> tuple[Path, list[Logits]]:
    """Check the model against its spec; return the network cut at its logits, and the logits of each tensor set.

    Args:
        sets: preprocessed images, float32 N×H×W×C each.

    Raises:
        ExportError: model and spec contradict each other, or Keras cannot read the model.
    """
    form = foreign_format(source.model_path)
    suffix = ".keras" if form is None else f".{form.value}"
    network = work.scratch / ("network" if source.model_path.is_dir() else f"network{suffix}")
    logits, refusal = work.scratch / "logits.npy", work.scratch / "refusal.txt"
    tensors = keras_model.save_sets(work.scratch / "tensors.npy", sets)
    given, written = (str(source.model_path), tensors), (str(network), str(logits), str(refusal))
    write = keras_model.write_network if form is None else foreign.write_network
    in_own_process(write, *given, source.spec, source.output, *written)
    if refusal.is_file():
        raise ExportError(refusal.read_text(encoding="utf-8"))
    ends = np.cumsum([len(tensors) for tensors in sets])[:-1]
    return network, np.split(np.load(logits), ends)
