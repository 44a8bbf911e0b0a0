"""Results as ``edge-predict --json`` prints them: the same functions, the same bytes."""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import ImageError, MachineError
from edge_runtime.explain.drawing import colours, png
from edge_runtime.explain.explanation import Explanation
from edge_runtime.images.reader import read
from edge_runtime.images.region import Region
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor
from edge_runtime.results.lines import to_line, to_slide_line
from edge_runtime.serving.problems import UNAVAILABLE, UNPROCESSABLE
from edge_runtime.tiling.slide import SlidePrediction

OK = 200
BYTES = "bytes"
"""Name of an image that was sent without one, as in :meth:`Predictor.predict`."""


class Wanted(enum.Enum):
    """What a request asks for."""

    PREDICTION = "prediction"
    HEATMAP = "heatmap"
    TILES = "tiles"


@dataclass(frozen=True, eq=False)
class Question:
    """An image and what is asked about it.

    Attributes:
        name: name of the image in the result and in errors.
        microns_per_pixel: stated scale; None if it is unknown.
    """

    image: bytes
    wanted: Wanted = Wanted.PREDICTION
    name: str = BYTES
    region: Region | None = None
    microns_per_pixel: float | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """A result and its response.

    Attributes:
        line: the JSON line with its end.
        counted: what the metrics count; None for a slide.
    """

    status: int
    line: bytes
    counted: Prediction | Failure | None
    code: str | None = None


class _WithOverlay:
    """An explanation whose heatmap also has a coloured PNG to lay over the image."""

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation

    def to_dict(self) -> dict[str, object]:
        fields = self._explanation.to_dict()
        heatmap = fields["heatmap"]
        if not isinstance(heatmap, dict):
            raise TypeError("an explanation has a heatmap")
        data = base64.b64encode(overlay_png(self._explanation)).decode("ascii")
        return fields | {"heatmap": {**heatmap, "media_type": "image/png", "data": data}}


def overlay_png(explanation: Explanation) -> bytes:
    """Return the heatmap as an RGBA PNG of the image's size.

    Colours are those of ``edge-predict --heatmap``. Alpha is 0 where the map is 0 or outside the network's input, and
    255 at its largest value.
    """
    shares = explanation.on_picture()
    alpha = np.rint(np.nan_to_num(shares) * 255).astype(np.uint8)
    return png(np.dstack([colours(shares), alpha]), explanation.prediction.image)


def answer(predictor: Predictor, question: Question, check: Callable[[], None] | None = None) -> Answer:
    """Return the result for an image, or its error.

    Args:
        check: called between the tiles of a slide; an exception of it ends the work.

    Raises:
        UsageError, BundleError, BackendError: as in :meth:`Predictor.predict` and :meth:`Predictor.explain`.
    """
    try:
        if question.wanted is Wanted.TILES:
            return _of_slide(predictor, question, check)
        return _of_image(predictor, question)
    except (ImageError, MachineError) as error:
        return _failed(predictor, question, error)


def _of_image(predictor: Predictor, question: Question) -> Answer:
    image, name, region = question.image, question.name, question.region
    if question.wanted is Wanted.HEATMAP:
        explanation = predictor.explain(image, region=region, name=name)
        return Answer(OK, _bytes(to_line(_WithOverlay(explanation))), explanation.prediction)
    scale = question.microns_per_pixel
    prediction = predictor.predict(image, region=region, name=name, microns_per_pixel=scale)
    return Answer(OK, _bytes(to_line(prediction)), prediction)


def _of_slide(predictor: Predictor, question: Question, check: Callable[[], None] | None) -> Answer:
    image = read(question.image, min_side_px=predictor.spec.min_side_px, name=question.name)
    scale = question.microns_per_pixel
    slide: SlidePrediction = predictor.predict_tiles(image, workers=1, microns_per_pixel=scale, between=check)
    return Answer(OK, _bytes(to_slide_line(slide)), None)


def _failed(predictor: Predictor, question: Question, error: ImageError | MachineError) -> Answer:
    status = UNPROCESSABLE if isinstance(error, ImageError) else UNAVAILABLE
    if question.wanted is Wanted.TILES:
        failure = Failure(question.name, error)
        return Answer(status, _bytes(to_slide_line(failure)), failure, error.code)
    failure = Failure(question.name, error, question.region, predictor.digest)
    return Answer(status, _bytes(to_line(failure)), failure, error.code)


def _bytes(line: str) -> bytes:
    return f"{line}\n".encode("ascii")
