"""What the command line of ``edge-predict`` asks for, and which of its options contradict each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from edge_runtime.bundle.bundle import TRUSTED_KEY
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL, MODEL_VARIABLE
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.cli.render import Style
from edge_runtime.explain.drawing import OPACITY
from edge_runtime.inference.backends.base import Provider, Runtime

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class CommandOptions:
    """The options by their names; what is absent is None, False or empty."""

    images: tuple[str, ...]
    regions: tuple[str, ...]
    model: str | None
    backend: str
    provider: str
    precision: str
    trusted_key: Path | None
    threads: int
    workers: int | None
    as_json: bool
    as_csv: bool
    output: Path | None
    resume: bool
    retry_failed: bool
    watch: Path | None
    interval: float
    tiles: str | None
    map_png: Path | None
    scores: Path | None
    heatmap: Path | None
    heatmap_label: str | None
    opacity: float

    @property
    def style(self) -> str | None:
        """How answers are printed, where the command line says so."""
        return Style.JSON.value if self.as_json else Style.CSV.value if self.as_csv else None

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            click.UsageError: they do; the message says which.
        """
        for fault, message in (
            (not (self.images or self.watch or self.tiles), "Missing argument 'IMAGE_OR_FOLDER...'."),
            (self.images and self.watch, "--watch FOLDER takes no other images."),
            (self.images and self.tiles, "--tiles SLIDE takes no other images."),
            (
                self.regions and (self.output or self.watch or self.tiles),
                "--region prints its answers; leave out --output, --watch and --tiles.",
            ),
            (
                self.regions and (len(self.images) != 1 or os.path.isdir(self.images[0])),
                "--region asks about one image; name that image alone.",
            ),
            (self.tiles and (self.output or self.watch), "--tiles SLIDE prints its answer; leave out --output."),
            (not self.tiles and (self.map_png or self.scores), "--map and --scores need --tiles SLIDE."),
            (
                not self.output and (self.resume or self.retry_failed or self.watch),
                "--resume, --retry-failed and --watch need --output FILE.",
            ),
            (self.retry_failed and not (self.resume or self.watch), "--retry-failed needs --resume."),
            (
                self.heatmap and (self.output or self.watch),
                "--heatmap draws answers that are printed; leave out --output and --watch.",
            ),
            (self.heatmap and self.tiles, "a slide's map is its tiles' scores: --map FILE in place of --heatmap."),
            (
                self.heatmap and (self.workers or 1) > 1,
                "--heatmap explains one image at a time; leave out --workers.",
            ),
            (not self.heatmap and self.heatmap_label, "--heatmap-label needs --heatmap FILE_OR_FOLDER."),
            (self.as_json and self.as_csv, "--json and --csv contradict each other; leave one of them out."),
            (self.output and self.as_csv, "a results file holds JSON lines; leave out --csv."),
            (self.tiles and self.as_csv, "--tiles prints a card or --json; leave out --csv."),
        ):
            if fault:
                raise click.UsageError(message)


def options(command: Command) -> Command:
    """Add what a :class:`CommandOptions` holds to a command, in the order in which ``--help`` shows it."""
    for option in reversed((*_MODEL, *_ANSWERS, *_HEATMAPS, *_RESULTS, *_TILES)):
        command = option(command)
    return command


_MODEL = (
    click.argument("images", nargs=-1, metavar="IMAGE_OR_FOLDER..."),
    click.option(
        "--model",
        envvar=MODEL_VARIABLE,
        show_envvar=True,
        show_default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="A model by name, or a bundle.",
    ),
    click.option(
        "--backend",
        type=click.Choice([runtime.value for runtime in Runtime]),
        default=Runtime.AUTO.value,
        show_default=True,
        help="The interpreter.",
    ),
    click.option(
        "--provider",
        type=click.Choice([provider.value for provider in Provider]),
        default=Provider.CPU.value,
        show_default=True,
        help="What onnxruntime computes with.",
    ),
    click.option(
        "--precision",
        type=click.Choice([precision.value for precision in Precision]),
        default=Precision.INT8.value,
        show_default=True,
        help="Which of the bundle's files runs first.",
    ),
    click.option(
        "--trusted-key",
        type=_FILE,
        metavar="FILE",
        envvar=TRUSTED_KEY,
        show_envvar=True,
        help="Refuse a model that this key did not sign.",
    ),
    click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Interpreter threads."),
    click.option(
        "--workers",
        type=click.IntRange(1, 64),
        help="Images answered at once, each by an interpreter of its own: 1, or with --tiles one for each core.",
    ),
)
_ANSWERS = (
    click.option(
        "--region",
        "regions",
        multiple=True,
        metavar="X,Y,RADIUS",
        help="Ask about this circle of the one image, in pixels from its upper left corner; may be repeated.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
    click.option("--csv", "as_csv", is_flag=True, help="CSV with a header line."),
)
_HEATMAPS = (
    click.option(
        "--heatmap",
        type=_FILE,
        metavar="FILE_OR_FOLDER",
        help="Draw where in the image the answer comes from, as PNG; several images need a folder.",
    ),
    click.option(
        "--heatmap-label", metavar="LABEL", help="The label that heatmaps speak for, in place of the answer's."
    ),
    click.option(
        "--opacity",
        type=click.FloatRange(0, 1),
        default=OPACITY,
        show_default=True,
        metavar="SHARE",
        help="How much of a pixel's colour is the heatmap's.",
    ),
)
_RESULTS = (
    click.option("--output", type=_FILE, metavar="FILE", help="Write JSON lines to FILE, each safe on disk at once."),
    click.option("--resume", is_flag=True, help="Go on with FILE: what it holds is not answered again."),
    click.option("--retry-failed", is_flag=True, help="Answer the images again that have failed in FILE."),
    click.option("--watch", type=_FILE, metavar="FOLDER", help="Answer FOLDER's images into FILE as they come."),
    click.option(
        "--interval",
        type=click.FloatRange(0.05, 3600),
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="Time between two looks of --watch; an image that is the same in both is taken.",
    ),
)
_TILES = (
    click.option("--tiles", metavar="SLIDE", help="Answer a large image tile by tile."),
    click.option("--map", "map_png", type=_FILE, metavar="FILE", help="With --tiles: draw the scores as PNG."),
    click.option("--scores", type=_FILE, metavar="FILE", help="With --tiles: write the scores as .npy, float32."),
)
