"""Sheet of :mod:`training.reporting.preview`: one row of images each, and a description below."""

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
    """Write the sheet of ``recipe`` on the published layout below ``data`` to ``out``; return its rows.

    Raises:
        DatasetError: the data are not what the layout promises, or no training image can be read.
    """
    rows = preview_rows(recipe, recipe.source.load(data), count=count, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(draw_sheet(recipe, rows))
    return rows


def draw_sheet(recipe: Recipe, rows: tuple[PreviewRow, ...]) -> bytes:
    """Return a PNG of ``rows`` (one at least), all with as many draws; the same bytes for the same rows.

    The images are the data set's: its licence binds the sheet too.
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
        f"{spec.name}: images of patients that train.",
        f"Prepared: float32 {height}×{width}×{spec.channels} {order_of(spec).value}, shown as RGB, "
        "each row from its minimum to its maximum.",
        words(recipe.augmentation),
        f"Licence of the images: {recipe.source.licence}.",
    )


def words(augmentation: Augmentation | None) -> str:
    """Describe the augmentation."""
    if augmentation is None:
        return "No augmentation: the network is fitted on the prepared tensors as they are."
    said = [
        "mirrored left to right half the time" * augmentation.flips,
        "turned by 0, 90, 180 or 270°" * augmentation.quarter_turns,
        f"rotated by up to ±{augmentation.rotation_deg:g}°" * bool(augmentation.rotation_deg),
        f"zoomed by up to ±{augmentation.zoom * 100:g} %" * bool(augmentation.zoom),
    ]
    border = "; zeros come in at the border" if augmentation.rotation_deg or augmentation.zoom else ""
    return f"Augmentation: {', '.join(part for part in said if part) or 'nothing'}{border}."
