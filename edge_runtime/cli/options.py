"""The options of ``edge-predict``, and the check for options that contradict each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_runtime.bundle.bundle import TRUSTED_KEY
from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL, MODEL_VARIABLE
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.site_policy_in_force import SITE_POLICY
from edge_runtime.cli.parameters import FilePath
from edge_runtime.cli.recording import RECORDING
from edge_runtime.cli.render import Style
from edge_runtime.explain import OPACITY
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.serialisation.frozen import dataclass

if TYPE_CHECKING:
    from pathlib import Path

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = FilePath()


@dataclass(frozen=True)
class CommandOptions:
    """The values of all options. An absent option is None, False or empty."""

    images: tuple[str, ...]
    regions: tuple[str, ...]
    frame: str | None
    microns_per_pixel: float | None
    model: str | None
    backend: str
    provider: str
    precision: str
    trusted_key: Path | None
    site_policy: Path | None
    threads: int
    workers: int | None
    as_json: bool
    as_csv: bool
    statistics: bool
    output: Path | None
    resume: bool
    retry_failed: bool
    watch: Path | None
    interval: float
    mark_hours: float
    tiles: str | None
    map_png: Path | None
    scores: Path | None
    ome_tiff: Path | None
    geojson: Path | None
    read_at: float | None
    white_tiles: bool
    heatmap: Path | None
    heatmap_label: str | None
    opacity: float
    audit: Path | None
    audit_period: float
    audit_key: Path | None

    @property
    def style(self) -> str | None:
        """Value of the :class:`Style` that ``--json`` or ``--csv`` selects; None without either."""
        return Style.JSON.value if self.as_json else Style.CSV.value if self.as_csv else None

    def check(self) -> None:
        """Reject options that contradict each other.

        Raises:
            click.UsageError: two options contradict each other; the message names them.
        """
        for fault, message in (
            (not (self.images or self.watch or self.tiles), "Missing argument 'IMAGE_OR_FOLDER...'."),
            (self.images and self.watch, "--watch FOLDER takes no other images. Remove the other paths."),
            (self.images and self.tiles, "--tiles SLIDE takes no other images. Remove the other paths."),
            (
                self.regions and (self.output or self.watch or self.tiles),
                "--region cannot be combined with --output, --watch or --tiles. Remove these options.",
            ),
            (
                self.regions and (len(self.images) != 1 or os.path.isdir(self.images[0])),
                "--region needs exactly one image. Name one image file.",
            ),
            (
                self.frame and (self.tiles or (self.output and not self.watch)),
                "--frame cannot be combined with --tiles, or with --output without --watch. Remove these options.",
            ),
            (
                self.frame and self.watch and self.frame != FrameChoice.ALL.value,
                "--watch takes --frame all, and no number of a frame.",
            ),
            (
                self.frame and not self.watch and (len(self.images) != 1 or os.path.isdir(self.images[0])),
                "--frame needs exactly one DICOM file. Name one file.",
            ),
            (
                self.tiles and (self.output or self.watch),
                "--tiles cannot be combined with --output or --watch. Remove these options.",
            ),
            (not self.tiles and (self.map_png or self.scores), "--map and --scores need --tiles SLIDE."),
            (
                not self.tiles and (self.ome_tiff or self.geojson or self.read_at or self.white_tiles),
                "--ome-tiff, --geojson, --read-at and --white-tiles need --tiles SLIDE.",
            ),
            (
                not self.output and (self.resume or self.retry_failed or self.watch),
                "--resume, --retry-failed and --watch need --output FILE.",
            ),
            (self.retry_failed and not (self.resume or self.watch), "--retry-failed needs --resume or --watch."),
            (
                self.heatmap and (self.output or self.watch),
                "--heatmap cannot be combined with --output or --watch. Remove these options.",
            ),
            (
                self.heatmap and self.tiles,
                "--heatmap cannot be combined with --tiles. Use --map FILE to draw the scores of a slide.",
            ),
            (
                self.heatmap and (self.workers or 1) > 1,
                "--heatmap processes one image at a time. Remove --workers.",
            ),
            (not self.heatmap and self.heatmap_label, "--heatmap-label needs --heatmap FILE_OR_FOLDER."),
            (self.as_json and self.as_csv, "--json and --csv contradict each other. Remove one of them."),
            (
                self.statistics and not (self.as_json or self.output),
                "--statistics needs --json or --output FILE.",
            ),
            (self.statistics and self.tiles, "--statistics is for whole images. Remove --tiles."),
            (self.output and self.as_csv, "--output writes JSON lines. Remove --csv."),
            (self.tiles and self.as_csv, "--tiles prints text or JSON. Remove --csv."),
        ):
            if fault:
                raise click.UsageError(message)


def options(command: Command) -> Command:
    """Add all options of :class:`CommandOptions` to a command, in the order in which ``--help`` lists them."""
    for option in reversed((*_MODEL, *_ANSWERS, *_HEATMAPS, *_RESULTS, *_TILES, *RECORDING)):
        command = option(command)
    return command


def _frame(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Check a frame number."""
    if text is None or text == FrameChoice.ALL.value or (text.isascii() and text.isdigit() and 0 < int(text) < 10**7):
        return text
    raise click.BadParameter(f"{text!r} is no frame. Give a number from 1, or all.")


def model_options(command: Command) -> Command:
    """Add the options that select and open a model."""
    for option in reversed(_OPENED):
        command = option(command)
    return command


site_policy_option = click.option(
    "--site-policy",
    type=_FILE,
    metavar="FILE|none",
    envvar=SITE_POLICY,
    show_envvar=True,
    help="Use the thresholds of this site policy instead of the installed one's; none: the model's own.",
)
_OPENED = (
    click.option(
        "--model",
        envvar=MODEL_VARIABLE,
        show_envvar=True,
        show_default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="The name of a model, or the path of a bundle or model file.",
    ),
    click.option(
        "--backend",
        type=click.Choice([runtime.value for runtime in Runtime]),
        default=Runtime.AUTO.value,
        show_default=True,
        help="The interpreter that runs the model.",
    ),
    click.option(
        "--provider",
        type=click.Choice([provider.value for provider in Provider]),
        default=Provider.CPU.value,
        show_default=True,
        help="The device that onnxruntime computes on.",
    ),
    click.option(
        "--precision",
        type=click.Choice([precision.value for precision in Precision]),
        default=Precision.INT8.value,
        show_default=True,
        help="The precision of the model file that runs first.",
    ),
    click.option(
        "--trusted-key",
        type=_FILE,
        metavar="FILE",
        envvar=TRUSTED_KEY,
        show_envvar=True,
        help="Reject models that are not signed by this public key.",
    ),
    site_policy_option,
    click.option(
        "--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of each interpreter."
    ),
)
_MODEL = (
    click.argument("images", nargs=-1, metavar="IMAGE_OR_FOLDER..."),
    *_OPENED,
    click.option(
        "--workers",
        type=click.IntRange(1, 64),
        help="Images processed in parallel, by processes of 80 MB each. The default is 1; with --tiles, one per core.",
    ),
)
_ANSWERS = (
    click.option(
        "--region",
        "regions",
        multiple=True,
        metavar="X,Y,RADIUS",
        help="Classify this circle of one image, in pixels from its upper left corner. Repeat it for more circles.",
    ),
    click.option(
        "--frame",
        callback=_frame,
        metavar="NUMBER|all",
        help="Classify this frame of a DICOM file, counted from 1, or all of its frames as one case.",
    ),
    click.option(
        "--microns-per-pixel",
        "--mpp",
        "microns_per_pixel",
        type=click.FloatRange(0, min_open=True),
        metavar="MICRONS",
        help="The scale of the images. A model of another scale rejects them. For a slide: of its finest level.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line."),
    click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header line."),
    click.option("--statistics", is_flag=True, help="Add size and statistics of each image, for edge-predict drift."),
)
_HEATMAPS = (
    click.option(
        "--heatmap",
        type=_FILE,
        metavar="FILE_OR_FOLDER",
        help="Write a heatmap of where the score comes from, as PNG. For several images, name a folder.",
    ),
    click.option(
        "--heatmap-label", metavar="LABEL", help="The label that heatmaps explain, instead of the predicted label."
    ),
    click.option(
        "--opacity",
        type=click.FloatRange(0, 1),
        default=OPACITY,
        show_default=True,
        metavar="SHARE",
        help="Opacity of the heatmap over the image.",
    ),
)
_RESULTS = (
    click.option(
        "--output", type=_FILE, metavar="FILE", help="Write JSON lines to FILE. Each line is flushed to disk."
    ),
    click.option("--resume", is_flag=True, help="Continue FILE and skip the images that it contains."),
    click.option("--retry-failed", is_flag=True, help="Process the images again that failed in FILE."),
    click.option("--watch", type=_FILE, metavar="FOLDER", help="Process new images in FOLDER until stopped."),
    click.option(
        "--interval",
        type=click.FloatRange(0.05, 3600),
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="Time between two scans of --watch. An image is processed when two scans find it unchanged.",
    ),
    click.option(
        "--mark-hours",
        type=click.FloatRange(0, 720),
        default=24,
        show_default=True,
        help="Longest time that --watch lets a DICOM image wait for its circle.",
    ),
)
_TILES = (
    click.option("--tiles", metavar="SLIDE", help="Classify a large image or a slide tile by tile."),
    click.option("--map", "map_png", type=_FILE, metavar="FILE", help="With --tiles, draw the scores as PNG."),
    click.option("--scores", type=_FILE, metavar="FILE", help="With --tiles, write the scores as .npy, float32."),
    click.option(
        "--ome-tiff", type=_FILE, metavar="FILE", help="With --tiles, write the scores as pyramidal OME-TIFF."
    ),
    click.option("--geojson", type=_FILE, metavar="FILE", help="With --tiles, write the tiles as GeoJSON for QuPath."),
    click.option(
        "--read-at",
        type=click.FloatRange(0, min_open=True),
        metavar="MICRONS",
        help="Microns per pixel at which a slide is read, for a model whose spec states none.",
    ),
    click.option("--white-tiles", is_flag=True, help="Also classify the tiles of a slide that show empty glass."),
)
