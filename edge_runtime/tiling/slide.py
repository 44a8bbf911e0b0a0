"""The result for a slide: the grid, the tiles, and a decision on the whole slide if the policy has a case rule."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.decision.case import CaseVerdict
from edge_runtime.decision.verdict import SITE_WITH_POLICY, Decision, Reason, Site
from edge_runtime.errors import ImageError
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.prediction import Fallback, Timing

SCHEMA = "edge-tiles/1"
"""Version of the JSON form. The number changes when a key is added, removed or changes its meaning."""

SLIDE_SCHEMA = "edge-slide/1"
"""The same for a whole slide that is read at a model's scale."""

NO_RULE = "NO_CASE_RULE"
"""The ``reason`` in the JSON form if the policy has no case rule."""


@dataclass(frozen=True)
class Grid:
    """The tile grid. Tile (row, column) starts at y = row × step, x = column × step from the upper left corner.

    Attributes:
        tile_width_px: width of a tile.
        tile_height_px: height of a tile.
        stride_px: distance between tiles in both directions; None if the tiles touch.
        rows: number of rows.
        columns: number of columns.
        left_out: number of tiles that start inside the image but would cross its edge.
    """

    tile_width_px: int
    tile_height_px: int
    stride_px: int | None
    rows: int
    columns: int
    left_out: int

    @property
    def touching(self) -> bool:
        """Whether each tile starts where the previous one ends."""
        return self.step_px == (self.tile_width_px, self.tile_height_px)

    @cached_property
    def step_px(self) -> tuple[int, int]:
        """Horizontal and vertical distance between tiles in pixels."""
        return self.stride_px or self.tile_width_px, self.stride_px or self.tile_height_px

    def place(self, number: int) -> tuple[int, int]:
        """Return x and y of a tile's upper left pixel. Tiles are numbered row by row, from 0."""
        row, column = divmod(number, self.columns)
        across, down = self.step_px
        return column * across, row * down

    def cut(self, image: DecodedImage, number: int) -> DecodedImage:
        """Return a copy of a tile, so that filters treat its border as an image border."""
        x, y = self.place(number)
        pixels = image.pixels[y : y + self.tile_height_px, x : x + self.tile_width_px].copy()
        return DecodedImage(f"{image.name} at x={x}, y={y}", pixels, image.order)


@dataclass(frozen=True)
class SlideReading:
    """How a whole slide is read at a model's scale.

    Attributes:
        level: number of the level that is read; 0 is the finest.
        downsample: pixels of level 0 per pixel of this level, in one direction.
        factor_256: pixels of this level per pixel of the read image, times 256; 256 if the level is read as it is.
        level_0_microns: microns per pixel of level 0.
        stated: whether the user stated ``level_0_microns``; otherwise it is from the file.
        exact: whether the pixels of the level are those that the file stores.
    """

    level: int
    downsample: Fraction
    factor_256: int
    level_0_microns: float
    stated: bool
    exact: bool

    @property
    def level_0_px(self) -> Fraction:
        """Pixels of level 0 per pixel of the read image, in one direction."""
        return self.downsample * self.factor_256 / 256

    @property
    def microns_per_pixel(self) -> float:
        """Scale of the read image."""
        return self.level_0_microns * float(self.level_0_px)


@dataclass(frozen=True)
class Tile:
    """The result for one tile.

    If :attr:`SlidePrediction.neighbours` is set, the result comes from the mean of the tile's logits and its
    neighbours' logits.

    Attributes:
        x_px: x of the upper left pixel.
        y_px: y of the upper left pixel.
        score: positive score, 0..1.
        confidence: largest score of any label, 0..1.
        familiarity: as in :class:`edge_runtime.inference.prediction.Prediction`.
    """

    x_px: int
    y_px: int
    score: float
    confidence: float
    decision: Decision
    reason: Reason
    familiarity: float | None = None


@dataclass(frozen=True)
class TileFailure:
    """A tile without a result, and the error: for example a min-max stretch of a tile with a single value."""

    x_px: int
    y_px: int
    error: ImageError


@dataclass(frozen=True, eq=False)
class SlidePrediction:
    """The result for a slide.

    Attributes:
        image: the path as it was given, or a name for bytes and arrays.
        cutoff, confidence_floor: the applied thresholds, 0..1.
        contract: SHA-256 of the preprocessing steps.
        tiles: the classified tiles, row by row.
        failures: the tiles without a result.
        scores: positive scores 0..1, float32 rows×columns; NaN where a tile has no result.
        case: the decision on the whole slide; None if the policy has no case rule.
        neighbours: weight of each adjacent tile's logits, above 0 and at most 1; None if each tile was classified on
            its own.
        fallback, site_policy: as in :class:`edge_runtime.inference.prediction.Prediction`.
        microns_per_pixel: scale of the slide as the user stated it; None if it was not stated, so unknown. Of a whole
            slide it is the scale at which the slide was read.
        reading: how a whole slide was read; None for other images. Places of tiles are pixels of the read image.
        white: number of tiles that were left out as empty glass; None if none are left out.
    """

    image: str
    model: str
    version: str
    cutoff: float
    confidence_floor: float
    contract: str
    backend: str
    precision: str
    grid: Grid
    tiles: tuple[Tile, ...]
    failures: tuple[TileFailure, ...]
    scores: npt.NDArray[np.float32]
    case: CaseVerdict | None
    ms: Timing
    neighbours: float | None = None
    fallback: Fallback | None = None
    microns_per_pixel: float | None = None
    site_policy: SitePolicyId | None = None
    reading: SlideReading | None = None
    white: int | None = None

    @property
    def site(self) -> Site:
        """Whether the cut-off was calibrated at the site that uses the model."""
        return SITE_WITH_POLICY[self.site_policy is not None]

    @property
    def positive(self) -> tuple[Tile, ...]:
        """The tiles with the decision POSITIVE, row by row."""
        return tuple(tile for tile in self.tiles if tile.decision is Decision.POSITIVE)

    @property
    def reruns(self) -> int:
        """Number of tiles that the float32 file decided."""
        return sum(tile.reason is Reason.PRECISION_RERUN for tile in self.tiles)

    @property
    def unfamiliar(self) -> int | None:
        """Number of tiles referred by the out-of-distribution check; None if the model has no such check."""
        if all(tile.familiarity is None for tile in self.tiles):
            return None
        return sum(tile.reason is Reason.UNFAMILIAR_INPUT for tile in self.tiles)

    def count(self, decision: Decision) -> int:
        """Return the number of tiles with ``decision``."""
        return sum(tile.decision is decision for tile in self.tiles)

    def level_0(self, side_px: int) -> float:
        """Return a place or length of the read image in pixels of level 0; in pixels of the image if it is no slide."""
        return side_px if self.reading is None else float(side_px * self.reading.level_0_px)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md): counts, the decision on the slide and all POSITIVE tiles."""
        found = self._to_dict()
        return found if self.reading is None else {**found, **self._slide_keys(self.reading)}

    def _slide_keys(self, reading: SlideReading) -> dict[str, object]:
        """Return the keys that the JSON form of a whole slide has more, or with another meaning."""
        return {
            "schema": SLIDE_SCHEMA,
            "slide": {
                "level": reading.level,
                "level_0_microns_per_pixel": reading.level_0_microns,
                "microns_from": "statement" if reading.stated else "file",
                "level_0_px": float(reading.level_0_px),
                "factor_256": reading.factor_256,
                "exact": reading.exact,
                "white": self.white,
            },
            "positive": [
                {"x": self.level_0(t.x_px), "y": self.level_0(t.y_px), "score": t.score} for t in self.positive
            ],
            "failures": [
                {
                    "x": self.level_0(failure.x_px),
                    "y": self.level_0(failure.y_px),
                    "error": {"code": failure.error.code, "message": failure.error.message},
                }
                for failure in self.failures
            ],
        }

    def _to_dict(self) -> dict[str, object]:
        case = self.case
        together = {} if self.neighbours is None else {"neighbours": self.neighbours}
        scale = {} if self.microns_per_pixel is None else {"microns_per_pixel": self.microns_per_pixel}
        unfamiliar = {} if self.unfamiliar is None else {"unfamiliar": self.unfamiliar}
        return {
            "schema": SCHEMA,
            "image": self.image,
            "model": self.model,
            "version": self.version,
            "tile_px": [self.grid.tile_width_px, self.grid.tile_height_px],
            "stride_px": list(self.grid.step_px),
            "rows": self.grid.rows,
            "columns": self.grid.columns,
            "tiles": {
                **{decision.value: self.count(decision) for decision in Decision},
                "failed": len(self.failures),
                "left_out": self.grid.left_out,
                "rerun": self.reruns,
                **unfamiliar,
            },
            "decision": case.decision.value if case else None,
            "reason": case.reason.value if case else NO_RULE,
            "answered": case.answered if case else None,
            "count": case.count if case else None,
            "positive": [{"x": t.x_px, "y": t.y_px, "score": t.score} for t in self.positive],
            "cutoff": self.cutoff,
            "confidence_floor": self.confidence_floor,
            "site": self.site.value,
            **({} if self.site_policy is None else {"site_policy": self.site_policy.to_dict()}),
            **together,
            **scale,
            "contract": self.contract,
            "backend": self.backend,
            "precision": self.precision,
            **({} if self.fallback is None else {"fallback": self.fallback.value}),
            "ms": {key: value for key, value in self.ms.to_dict().items() if key != "prepare"},
        }
