"""``settle``: fit a Keras model made elsewhere to the roundings of int8."""

from __future__ import annotations

from pathlib import Path

import click

from training.cli.options import FOLDER


@click.command()
@click.argument("model", type=FOLDER)
@click.option("--spec", type=FOLDER, required=True, help="JSON spec of the model, as for the export.")
@click.option("--data", type=FOLDER, required=True, help="Folder of images of training patients; labels are not used.")
@click.option("--out", type=FOLDER, required=True, help="New .keras file.")
@click.option("--epochs", type=click.IntRange(min=0), default=8, show_default=True, help="Passes over the images.")
def settle(model: Path, spec: Path, data: Path, out: Path, epochs: int) -> None:
    """Fit MODEL, a .keras or .h5 file, to int8 and write a new .keras file.

    For models of which export finds no int8 file that keeps parity. The targets are the model's own float32 outputs.
    """
    from training.fitting.own_model import settle_file  # here, so that other commands do not load a framework

    def tell(epoch: int, error: float) -> None:
        click.echo(f"epoch {epoch} of {epochs}: mean |Δ output| {error:.4g}", err=True)

    done = settle_file(model, spec, data, out, epochs=epochs, tell=tell)
    click.echo(
        f"{out}: simulated int8 differs from the float32 outputs of {model} by {done.after:.4g} on average "
        f"({done.before:.4g} before), on {done.images} images. Export it with the same spec; give the images of "
        "--parity that were not in --data."
    )
