"""Draws the rows of :mod:`training.reporting.preview` on a sheet, with a description of the processing below."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.data.augmentation import Augmentation
from training.recipes.recipe import Recipe
from training.reporting.drawing import DPI, GREY, png
from training.reporting.preview import DRAWS, PreviewRow, order_of, preview_rows

_CELL_IN, _LINE_IN, _MARGIN_IN, _SMALL_PT = 1.3, 0.17, 0.3, 6
_NAMES = ("as read", "prepared", *(f"draw {n}" for n in range(1, DRAWS + 1)))


def write_preview(recipe: Recipe, data: Path, out: Path, *, count: int, seed: int) -> tuple[PreviewRow, ...]:
    """Write the sheet of ``recipe`` to ``out`` and return its rows; ``data`` is a folder with the published layout.

    Raises:
        DatasetError: the data do not match the layout, or no training image can be read.
    """
    rows = preview_rows(recipe, recipe.source.load(data), count=count, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(draw_sheet(recipe, rows))
    return rows


def draw_sheet(recipe: Recipe, rows: tuple[PreviewRow, ...]) -> bytes:
    """Return a reproducible PNG of ``rows`` (at least one), which all have the same number of draws.

    The sheet shows images of the data set, so the licence of the data set applies to it.
    """
    columns = 1 + len(rows[0].tensors)
    size = (max(columns, 4) * _CELL_IN + _MARGIN_IN, len(rows) * _CELL_IN + 5 * _LINE_IN + _MARGIN_IN)
    figure = Figure(figsize=size, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, line in zip(rows, grid, strict=True):
        _draw_row(row, list(line))
    for name, axes in zip(_NAMES, grid[0], strict=False):
        axes.set_title(name, fontsize=_SMALL_PT + 1)
    figure.supxlabel("\n".join(footer(recipe)), fontsize=_SMALL_PT, x=0.01, ha="left")
    return png(figure)


def _draw_row(row: PreviewRow, line: list[Axes]) -> None:
    for image, axes in zip((row.image, *row.tensors), line, strict=True):
        axes.imshow(image)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(GREY)
    line[0].set_ylabel(f"{row.label}\n{row.size_px[0]}×{row.size_px[1]} px", fontsize=_SMALL_PT)


def footer(recipe: Recipe) -> tuple[str, ...]:
    """Return the lines below the images."""
    spec = recipe.spec
    width, height = spec.size_px
    return (
        f"{spec.name}: images of training patients.",
        f"Prepared: float32 {height}×{width}×{spec.channels} {order_of(spec).value}, shown as RGB, "
        "each row from its minimum to its maximum.",
        words(recipe.augmentation),
        f"Licence of the images: {recipe.source.licence}.",
    )


def words(augmentation: Augmentation | None) -> str:
    """Return a sentence that describes the augmentation of a training image."""
    if augmentation is None:
        return "No augmentation: the network is fitted on the prepared tensors as they are."
    parts = [
        "mirrored left to right half the time" * augmentation.flips,
        "turned by 0, 90, 180 or 270°" * augmentation.quarter_turns,
        f"rotated by up to ±{augmentation.rotation_deg:g}°" * bool(augmentation.rotation_deg),
        f"zoomed by up to ±{augmentation.zoom * 100:g} %" * bool(augmentation.zoom),
    ]
    border = "; the border is filled with zeros" if augmentation.rotation_deg or augmentation.zoom else ""
    return f"Augmentation: {', '.join(part for part in parts if part) or 'nothing'}{border}."
