"""An explanation: a prediction with its heatmap."""

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
    """The prediction on one image, with its heatmap.

    Attributes:
        prediction: the result of :meth:`Predictor.predict`, with int8 file and guard band.
        exact: the verdict from the float32 file, from which the heatmap is computed.
        method: the heatmap method.
        label: the explained label; None for Eigen-CAM and attention, which do not depend on a label.
        layer: the network's layer whose feature map is used.
        grid: float32 h×w, 0 or more, rows from the top; Grad-CAM is on the scale of logits, attention
            adds up to 1. Its cells divide ``box``
            evenly: x of the centre of cell (row, column) is ``left + (column + 0.5) * width of box / w - 0.5``.
        box: left, top, right, bottom of the network's input, in pixels of the image; right and bottom are exclusive.
            It may extend over the image's edges.
        picture: the whole image, as read.
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
        """Whether the float32 file gives the same label and decision as the prediction."""
        verdict = self.prediction.verdict
        return (verdict.label, verdict.decision) == (self.exact.label, self.exact.decision)

    @property
    def blank(self) -> bool:
        """Whether the map is 0 everywhere: no part of the image raises the label's score."""
        return not self.grid.any()

    def on_picture(self) -> Floats:
        """Return the map at the image's size.

        Returns:
            float32 height×width, 0..1: shares of the map's largest value, bilinear between the cells' centres; NaN
            outside the network's input. Read-only, as drawing, peak and JSON share the array.
        """
        return self._whole

    @cached_property
    def _whole(self) -> Floats:
        height, width = self.picture.pixels.shape[:2]
        whole = placed(self.grid, self.box, width, height)
        whole.flags.writeable = False
        return whole

    def peak(self) -> tuple[int, int] | None:
        """Return x and y of the map's largest value in the image, the first one in reading order; None if blank."""
        if self.blank:
            return None
        whole = self.on_picture()
        row, column = np.unravel_index(int(np.nanargmax(whole)), whole.shape)
        return int(column), int(row)

    def note(self) -> str:
        """Return a sentence if the float32 file and the prediction differ; otherwise an empty string."""
        if self.agrees:
            return ""
        return (
            f"the heatmap is from the float32 file, which predicts {self.exact.label} ({self.exact.decision.value}, "
            f"score {self.exact.score:.4f}); the prediction above is from the {self.prediction.precision} file."
        )

    def to_dict(self) -> dict[str, object]:
        """Return the prediction's JSON form with a key ``heatmap``; see docs/reference/json.md."""
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
        """Return :meth:`on_picture` as a grey PNG: 255 is the largest value; 0 also stands for NaN."""
        levels = np.rint(np.nan_to_num(self.on_picture()) * 255).astype(np.uint8)
        return png(levels, self.prediction.image)


def stretched(grid: Floats, width: int, height: int) -> Floats:
    """Return a map resized to ``width`` × ``height`` pixels, as shares of its largest value.

    Args:
        grid: float32 h×w, 0 or more.
        width: width of the result in pixels.
        height: height of the result in pixels.

    Returns:
        float32 height×width, 0..1: bilinear between the cells' centres, constant outside the outermost centres. All 0
        if ``grid`` is all 0.
    """
    most = float(grid.max())
    shares = grid / np.float32(most) if most > 0 else grid
    return np.asarray(cv2.resize(shares, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def placed(grid: Floats, box: tuple[int, int, int, int], width: int, height: int) -> Floats:
    """Return a map that covers ``box`` of an image, at the image's size.

    Args:
        grid: float32 h×w, 0 or more.
        box: left, top, right, bottom in pixels of the image; see :class:`Explanation`.
        width: width of the image in pixels.
        height: height of the image in pixels.

    Returns:
        float32 height×width, as :func:`stretched` gives it; NaN outside the box.
    """
    left, top, right, bottom = box
    shown = stretched(grid, right - left, bottom - top)
    whole = np.full((height, width), np.nan, np.float32)
    first, last = (max(left, 0), max(top, 0)), (min(right, width), min(bottom, height))
    whole[first[1] : last[1], first[0] : last[0]] = shown[
        first[1] - top : last[1] - top, first[0] - left : last[0] - left
    ]
    return whole


def spread_share(found: Floats, expected: Floats) -> float:
    """Return the largest difference between two maps as a share of the range of ``expected``.

    It is 0 if both maps are all 0, and infinite if only ``found`` is not all 0.
    """
    if not (found.any() or expected.any()):
        return 0.0
    spread = float(expected.max() - expected.min())
    return float(np.abs(found - expected).max()) / spread if spread > 0 else float("inf")
