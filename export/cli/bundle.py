"""``python -m export bundle``: export a model to a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.bundle.manifest import Labelled, Manifest
from edge_runtime.bundle.quantisation import without_int8
from edge_runtime.images.left_out import summary
from edge_runtime.platform.escaped_names import shown
from export.errors import ExportError
from training.artifact import Artifact
from training.cli.options import FOLDER


@click.command()
@click.argument("model", type=FOLDER)
@click.option("--spec", type=FOLDER, help="JSON spec of a model made elsewhere. See docs/reference/spec.md.")
@click.option("--calibration", type=FOLDER, required=True, help="Folder of images, or a samples.csv that lists them.")
@click.option("--data", type=FOLDER, help="Published data set, for samples.csv and for parity on validation patients.")
@click.option(
    "--parity", type=FOLDER, help="Images not used for calibration, or a list of them, for a model made elsewhere."
)
@click.option(
    "--float16", is_flag=True, help="Also write a TFLite file with float16 weights, half the size of float32."
)
@click.option(
    "--insist",
    is_flag=True,
    help="Export even if labelled parity images contradict the model. The model card warns of it.",
)
@click.option("--output", help="Name of the output that gives the scores, for a model with several.")
@click.option("--peers", is_flag=True, help="Compare int8 with ai-edge-quantizer and with 7-bit weights.")
@click.option(
    "--dry-run", is_flag=True, help="Try it on a few images: what will ship, how long, how much memory. Writes nothing."
)
@click.option("--out", type=FOLDER, help="New folder for the bundle. Required unless --dry-run.")
def bundle(
    model: Path,
    spec: Path | None,
    calibration: Path,
    data: Path | None,
    parity: Path | None,
    float16: bool,
    insist: bool,
    output: str | None,
    peers: bool,
    dry_run: bool,
    out: Path | None,
) -> None:
    """Export a Keras model, an ONNX file or a TFLite file to a bundle.

    The bundle contains TFLite and ONNX files, float32 and int8. Every file must match the Keras model within the
    tolerance of the spec.

    If no quantisation scheme keeps parity and improves on float32, there is no int8 file. The manifest then gives the
    reason.

    MODEL is a training artifact. With --spec it is a model made elsewhere: .keras, .h5, a SavedModel folder, .onnx or
    .tflite. From an ONNX or TFLite file only files of its own format are made, and they must match that file.
    """
    if out is None and not dry_run:
        raise click.UsageError("Missing option '--out'.")
    from export.pipeline import check_wanted, export_source  # here, so that --help starts without the converters
    from export.preview import preview
    from export.reference import validation_of
    from export.source.calibration_images import left_out_of
    from export.source.foreign.formats import check_model
    from export.source.source import from_artifact, from_model, is_keras_model

    if spec is not None:
        source = from_model(model, spec, parity, data, output)
        check_model(model)  # before images are read; loading checks again
    elif is_keras_model(model):
        raise ExportError(
            f"{model}: found a model and no --spec, expected --spec FILE that describes its input and output. Start "
            "from one with: python -m export spec --from-recipe NAME, or --like NETWORK"
        )
    elif parity is not None:
        raise ExportError(
            f"{model}: --parity is for a model with --spec; an artifact has its own validation patients. "
            "Give --data DIR."
        )
    elif output is not None:
        raise ExportError(f"{model}: --output is for a model with --spec; an artifact has one output. Leave it out.")
    else:
        source = from_artifact(Artifact(model), data)
    for folder in (calibration, parity):
        if folder is not None and (left_out := left_out_of(folder)):
            click.echo(f"{shown(folder)}: {summary(left_out)}", err=True)
    if out is None or dry_run:
        check_wanted(source, out, float16=float16)
        click.echo(preview(source, calibration, float16=float16, insist=insist).text())
        return
    patients = None if spec is not None else validation_of(Artifact(model), data)
    done = export_source(source, calibration, out, float16=float16, insist=insist, peers=peers, reference=patients)
    click.echo(_summary(done, out))


def _summary(manifest: Manifest, out: Path) -> str:
    lines = [f"{out}: {manifest.spec.name} {manifest.spec.version}, contract {manifest.contract}"]
    sizes = {entry.name: entry.size_bytes for entry in manifest.files}
    for row in manifest.parity:
        lines.append(
            f"  {row.file:22} {sizes[row.file]:>10,} bytes  max |Δ logit| {row.logit_max:<9g} "
            f"flips {row.flips} of {row.images}, after the guard band {row.flips_guarded} ({row.reruns} rerun)"
        )
    lines += [f"  {row.file:22} {row.text()}" for row in manifest.quantised or ()]
    lines += [f"  {why}" for why in without_int8(manifest.attempts).values()]
    if manifest.reference is not None:
        lines += [f"  {text}" for text in (*manifest.reference.changes, manifest.reference.left_out)]
    lines.append(f"  guard band {manifest.guard_band:g}{_bound_text(manifest)}; {manifest.parity_source}")
    lines += [_labelled_line(row, manifest.labelled[0]) for row in manifest.labelled]
    return "\n".join(lines)


def _bound_text(manifest: Manifest) -> str:
    bound = manifest.guard_band_exceptions
    return "" if bound is None else f" (outside it at most {bound:.2%} of int8 decisions flip, 95 % bound)"


def _labelled_line(row: Labelled, keras: Labelled) -> str:
    figures = f"  {row.subject:22} calibration error {row.calibration_error:.4f}"
    change = row.auroc_change(keras)
    if change is None:
        return figures
    return f"{figures}, AUROC {row.auroc:.5f}" + ("" if row is keras else f" ({change:+.5f})")
