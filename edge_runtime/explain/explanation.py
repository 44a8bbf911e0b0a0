"""An answer and where in the image it comes from."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.saliency import Method
from edge_runtime.decision.verdict import Verdict
from edge_runtime.explain.drawing import png
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.prediction import Prediction

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Explanation:
    """One image's answer, and a heatmap of it.

    Attributes:
        prediction: what :meth:`Predictor.predict` says, int8 and guard band included.
        exact: what the float32 file says, whose heatmap this is.
        method: how the heatmap was made.
        label: the label that it speaks for; None for Eigen-CAM, which shows what is seen whatever the label.
        layer: the network's layer whose feature map is shown.
        grid: float32 h×w, 0 or more, rows from the top: Grad-CAM on the scale of logits. Its cells divide ``box``
            evenly, so that the centre of cell (row, column) lies at ``left + (column + .5) * width of box / w - .5``.
        box: left, top, right, bottom of what the network saw, in pixels of the image, right and bottom exclusive; it
            may reach over the image's edges.
        image: as read, whole.
    """

    prediction: Prediction
    exact: Verdict
    method: Method
    label: str | None
    layer: str
    grid: Floats
    box: tuple[int, int, int, int]
    picture: DecodedImage

    @property
    def agrees(self) -> bool:
        """Whether the float32 file gives the label and the decision of the prediction."""
        said = self.prediction.verdict
        return (said.label, said.decision) == (self.exact.label, self.exact.decision)

    @property
    def blank(self) -> bool:
        """Whether the map is 0 everywhere: no place speaks for the label."""
        return not self.grid.any()

    def on_picture(self) -> Floats:
        """Return the map in the image's own geometry.

        Returns:
            float32 height×width, 0..1: shares of the map's largest value, bilinear between the cells' centres; NaN
            where the network saw nothing of the image. Read-only: drawing, peak and JSON share it.
        """
        return self._whole

    @cached_property
    def _whole(self) -> Floats:
        left, top, right, bottom = self.box
        height, width = self.picture.pixels.shape[:2]
        shown = stretched(self.grid, right - left, bottom - top)
        whole = np.full((height, width), np.nan, np.float32)
        first, last = (max(left, 0), max(top, 0)), (min(right, width), min(bottom, height))
        whole[first[1] : last[1], first[0] : last[0]] = shown[
            first[1] - top : last[1] - top, first[0] - left : last[0] - left
        ]
        whole.flags.writeable = False
        return whole

    def peak(self) -> tuple[int, int] | None:
        """Return x and y of the map's largest value on the image, the first in reading order; None if blank."""
        if self.blank:
            return None
        whole = self.on_picture()
        row, column = np.unravel_index(int(np.nanargmax(whole)), whole.shape)
        return int(column), int(row)

    def note(self) -> str:
        """Return a sentence where the heatmap and the answer need one; else nothing."""
        if self.agrees:
            return ""
        return (
            f"the float32 file, whose map this is, says {self.exact.label} ({self.exact.decision.value}, score "
            f"{self.exact.score:.4f}); the answer above is the {self.prediction.precision} file's."
        )

    def to_dict(self) -> dict[str, object]:
        """Return the answer's JSON form with a key ``heatmap`` (docs/reference/json.md)."""
        peak = self.peak()
        heatmap = {
            "method": self.method.value,
            "layer": self.layer,
            "label": self.label,
            "grid": list(self.grid.shape),
            "largest": float(self.grid.max()),
            "box": list(self.box),
            "peak": None if peak is None else {"x": peak[0], "y": peak[1]},
            "agrees": self.agrees,
            "float32": {
                "label": self.exact.label,
                "score": self.exact.score,
                "decision": self.exact.decision.value,
            },
            "png": base64.b64encode(self.grey_png()).decode("ascii"),
        }
        return self.prediction.to_dict() | {"heatmap": heatmap}

    def grey_png(self) -> bytes:
        """Return :meth:`on_picture` as a grey PNG of the image's size: 255 is the largest value, 0 also unseen."""
        levels = np.rint(np.nan_to_num(self.on_picture()) * 255).astype(np.uint8)
        return png(levels, self.prediction.image)


def stretched(grid: Floats, width: int, height: int) -> Floats:
    """Return a map over ``width`` × ``height`` pixels as shares of its largest value.

    Args:
        grid: float32 h×w, 0 or more.

    Returns:
        float32 height×width, 0..1, bilinear between the cells' centres and even beyond the outermost; all 0 if
        ``grid`` is.
    """
    most = float(grid.max())
    shares = grid / np.float32(most) if most > 0 else grid
    return np.asarray(cv2.resize(shares, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def spread_share(found: Floats, expected: Floats) -> float:
    """Return the largest difference between two maps as a share of the range of ``expected``.

    It is 0 where both are 0 everywhere, and infinite where only ``found`` is not.
    """
    if not (found.any() or expected.any()):
        return 0.0
    spread = float(expected.max() - expected.min())
    return float(np.abs(found - expected).max()) / spread if spread > 0 else float("inf")
