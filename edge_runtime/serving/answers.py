"""Answers to images, as the command line gives them: the same JSON line for the same bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.errors import ImageError, MachineError
from edge_runtime.explain.drawing import colours
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.results.lines import to_line
from edge_runtime.serving.asked import AskedImage
from edge_runtime.serving.models import ServedModel

if TYPE_CHECKING:
    from edge_runtime.explain.explanation import Explanation


@dataclass(frozen=True)
class Answer:
    """The answer to an image: for the counters, and as the bytes of a JSON line."""

    result: Prediction | Failure
    line: bytes


def answer(model: ServedModel, asked: AskedImage) -> Answer:
    """Predict one image; an image that is refused gives a failure, as on the command line.

    Raises:
        EdgeError: as :meth:`edge_runtime.Predictor.predict`, but for errors of the image and of the machine.
    """
    with model.predictor() as predictor:
        try:
            if asked.heatmap:
                explained = predictor.explain(asked.image, region=asked.region, name=asked.name)
                return Answer(explained.prediction, _line(_WithColours(explained)))
            prediction = predictor.predict(
                asked.image, region=asked.region, name=asked.name, microns_per_pixel=asked.microns_per_pixel
            )
            return Answer(prediction, _line(prediction))
        except (ImageError, MachineError) as error:
            failure = Failure(asked.name, error, asked.region, predictor.digest)
            return Answer(failure, _line(failure))


def tiles(model: ServedModel, asked: AskedImage) -> dict[str, Any]:
    """Predict an image tile by tile; return what ``edge-predict --tiles`` says as JSON.

    Raises:
        EdgeError: as :meth:`edge_runtime.Predictor.predict_tiles`.
    """
    from edge_runtime.images.reader import read  # here, as few services need tiles

    with model.predictor() as predictor:
        image = read(asked.image, name=asked.name, min_side_px=predictor.spec.min_side_px)
        found = predictor.predict_tiles(image, microns_per_pixel=asked.microns_per_pixel)
    return found.to_dict()


def _line(result: Any) -> bytes:
    return to_line(result).encode("ascii") + b"\n"


@dataclass(frozen=True)
class _WithColours:
    """An explanation whose JSON also has the map in colours, to lie over the image: its alpha is the map's strength."""

    explained: Explanation

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation's JSON form with ``media_type`` and ``data`` in ``heatmap``."""
        fields: dict[str, Any] = self.explained.to_dict()
        drawn = {"media_type": "image/png", "data": base64.b64encode(self._png()).decode("ascii")}
        return fields | {"heatmap": fields["heatmap"] | drawn}

    def _png(self) -> bytes:
        shares = np.nan_to_num(self.explained.on_picture())
        coloured = np.dstack([colours(shares), np.rint(shares * 255).astype(np.uint8)])
        return cv2.imencode(".png", coloured)[1].tobytes()
