"""Canvas and palette of the images in reports; no global state of Matplotlib is used."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.metrics.evaluation import bootstrap

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WIDTH_PX, DPI = 900, 150
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
"""Blue and vermilion of Okabe & Ito, distinguishable with any colour vision (Wong 2011, Nature Methods 8:441)."""

GRID = np.linspace(0.0, 1.0, 101)


def canvas(height_px: int, shares: tuple[float, ...] = (1.0,)) -> tuple[Figure, list[Axes]]:
    """Return a figure of 900 px width, with one panel below the other on a common x axis.

    Args:
        height_px: of the figure.
        shares: relative heights of the panels.
    """
    figure = Figure(
        figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(shares), 1, sharex=True, squeeze=False, height_ratios=shares)
    panels: list[Axes] = list(grid[:, 0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def png(figure: Figure) -> bytes:
    """Return the figure as PNG. The bytes are reproducible with one Matplotlib: no date or version is written."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def band(
    axes: Axes, curve: Callable[[Bools, Floats], Floats], truth: Bools, score: Floats, groups: npt.NDArray[np.str_]
) -> None:
    """Shade the pointwise 95 % interval of a curve on :data:`GRID`, by bootstrap over groups.

    Args:
        curve: function of truth and scores; returns float64 101, the height of the curve at each point of the grid.
    """

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        both = truth[rows].any() and not truth[rows].all()
        heights = curve(truth[rows], score[rows]) if both else np.full(len(GRID), np.nan)
        return {f"{x:.2f}": float(y) for x, y in zip(GRID, heights, strict=True)}

    found = [f for f in bootstrap(measure, groups) if f.low is not None and f.high is not None]
    x, low, high = (
        [float(v) for v in column] for column in zip(*((f.name, f.low, f.high) for f in found), strict=True)
    )
    axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")


def unit_square(axes: Axes, x: str, y: str) -> None:
    """Label both axes and set their limits to 0 and 1."""
    axes.set(xlabel=x, ylabel=y, xlim=(0, 1.005), ylim=(0, 1.005))
