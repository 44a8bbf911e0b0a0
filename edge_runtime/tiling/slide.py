"""What the answer to a slide holds: a grid, its tiles' answers, and one decision on the whole where a rule says how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.decision.case import CaseVerdict
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import ImageError
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.prediction import Fallback, Timing

SCHEMA = "edge-tiles/1"
"""Version of the JSON form; a new number when any key comes, goes or changes its meaning."""

NO_RULE = "NO_CASE_RULE"
"""The JSON form's reason where the model's policy does not say how single answers make one decision."""


@dataclass(frozen=True)
class Grid:
    """Where tiles are cut: tile (row, column) begins ``stride_px`` × (row, column) below and right of the corner.

    Attributes:
        left_out: places that begin inside the image, but whose tile would reach over its edge.
    """

    tile_width_px: int
    tile_height_px: int
    stride_px: int | None
    rows: int
    columns: int
    left_out: int

    @property
    def touching(self) -> bool:
        """Whether each tile begins where the one before it ends."""
        return self.step_px == (self.tile_width_px, self.tile_height_px)

    @property
    def step_px(self) -> tuple[int, int]:
        """Distance between tiles, across and down."""
        return self.stride_px or self.tile_width_px, self.stride_px or self.tile_height_px

    def place(self, number: int) -> tuple[int, int]:
        """Return x and y of a tile's upper left pixel; tiles are counted row by row."""
        row, column = divmod(number, self.columns)
        return column * self.step_px[0], row * self.step_px[1]

    def cut(self, image: DecodedImage, number: int) -> DecodedImage:
        """Return a tile; a copy, so that filters see its edge as the edge of an image."""
        x, y = self.place(number)
        pixels = image.pixels[y : y + self.tile_height_px, x : x + self.tile_width_px].copy()
        return DecodedImage(f"{image.name} at x={x}, y={y}", pixels, image.order)


@dataclass(frozen=True)
class Tile:
    """One tile's answer; x and y of its upper left pixel, score and confidence 0..1.

    Where the slide's :attr:`SlidePrediction.neighbours` is set, the answer follows from the mean of the tile's logits
    and its neighbours'.

    Attributes:
        familiarity: as of a :class:`edge_runtime.inference.prediction.Prediction`.
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
    """A tile that got no answer, and why: a min-max stretch of one single value, for example."""

    x_px: int
    y_px: int
    error: ImageError


@dataclass(frozen=True, eq=False)
class SlidePrediction:
    """The answers to a slide's tiles.

    Attributes:
        image: the path as it was given, or a name for bytes and arrays.
        contract: SHA-256 of the preprocessing steps.
        tiles: answered, row by row.
        scores: float32 rows×columns, positive scores 0..1; NaN where a tile got no answer.
        case: the decision on all tiles together; None if the model's policy has no rule for it, and none is made up.
        neighbours: weight (over 0, at most 1) of each touching tile's logits in a tile's answer; None where every tile
            was answered for itself.
        fallback: as of a :class:`edge_runtime.inference.prediction.Prediction`.
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

    @property
    def positive(self) -> tuple[Tile, ...]:
        """The tiles called POSITIVE, row by row."""
        return tuple(tile for tile in self.tiles if tile.decision is Decision.POSITIVE)

    @property
    def reruns(self) -> int:
        """Tiles that the float32 file decided."""
        return sum(tile.reason is Reason.PRECISION_RERUN for tile in self.tiles)

    @property
    def unfamiliar(self) -> int | None:
        """Tiles referred because they are unlike the model's own images; None where the model knows no such thing."""
        if all(tile.familiarity is None for tile in self.tiles):
            return None
        return sum(tile.reason is Reason.UNFAMILIAR_INPUT for tile in self.tiles)

    def count(self, decision: Decision) -> int:
        """Return how many tiles got ``decision``."""
        return sum(tile.decision is decision for tile in self.tiles)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md): counts, the decision on the whole, and every POSITIVE tile."""
        case = self.case
        together = {} if self.neighbours is None else {"neighbours": self.neighbours}
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
            **together,
            "contract": self.contract,
            "backend": self.backend,
            "precision": self.precision,
            **({} if self.fallback is None else {"fallback": self.fallback.value}),
            "ms": {"decode": self.ms.decode, "run": self.ms.run},
        }
