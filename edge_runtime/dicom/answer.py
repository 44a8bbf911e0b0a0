"""The answer to one DICOM object: a prediction or a refusal, with what a report must say about its source."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.cine import most_serious
from edge_runtime.dicom.pixels import NAME, source_of
from edge_runtime.dicom.placement import Floats, Placement
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.source import SourceReference
from edge_runtime.dicom.study import Frame, OpenedObject
from edge_runtime.errors import ImageError, MachineError, RegionError, SaliencyError
from edge_runtime.explain.explanation import Explanation
from edge_runtime.images.reader import DecodedImage
from edge_runtime.images.region import Region
from edge_runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from pydicom import Dataset


MOST_FRAMES_OF_CASE = 1_000
"""Largest number of frames that are one case here: a request or an instance must not hold up the next ones for long."""


MOST_EXPLAINED_PIXELS = 12_000_000
"""Largest classified image that gets a heatmap: a map of floats at its size, and what is drawn of it, take memory."""


class AnyPredictor(Protocol):
    """What an answer needs of a :class:`edge_runtime.Predictor`."""

    spec: ModelSpec

    def predict_decoded(self, image: DecodedImage, region: Region | None) -> Prediction:
        """Classify an image that is decoded already."""

    def explain_decoded(self, image: DecodedImage, region: Region | None, label: str | None) -> Explanation:
        """Classify a decoded image, with a heatmap."""


@dataclass(frozen=True)
class DicomFailure:
    """Why an object has no prediction.

    Attributes:
        code: the error's code, such as ``dicom_for_processing``.
        message: the error's text. It contains nothing of the data set that could name a patient.
        of_machine: whether the machine failed, so that another attempt may succeed.
    """

    code: str
    message: str
    of_machine: bool = False


@dataclass(frozen=True, eq=False)
class DicomAnswer:
    """The answer to one object. Either ``prediction`` or ``failure`` is None.

    Attributes:
        source: identity and size of the object.
        prediction: the result. Its region is in stored pixels.
        failure: the refusal.
        placement: where the classified image lies in the stored pixels; None with a failure.
        region: the marked region in stored pixels (pixel centres at whole numbers); None for whole images.
        explanation: the heatmap, in pixels of the classified image; None unless it was requested and the bundle has
            one.
        frames: number of classified frames: more than 1 if all frames were one case.
        text: as in :class:`edge_runtime.dicom.pixels.DicomImage`.
    """

    source: SourceReference
    prediction: Prediction | None = None
    failure: DicomFailure | None = None
    placement: Placement | None = None
    region: Region | None = None
    explanation: Explanation | None = None
    frames: int = 1
    text: bool = False

    def heatmap(self) -> Floats | None:
        """Return the heatmap on the stored pixels.

        Returns:
            float32 rows×columns, 0..1: shares of the map's largest value; NaN outside the network's input. None
            without an explanation.
        """
        if self.explanation is None or self.placement is None:
            return None
        return self.placement.on_stored(self.explanation.on_picture(), self.source.rows, self.source.columns)


def answer(
    predictor: AnyPredictor,
    dataset: Dataset,
    frame: Frame = None,
    *,
    region: Region | None = None,
    marks: Sequence[Any] = (),
    explain: bool = False,
    name: str = NAME,
) -> DicomAnswer:
    """Classify one object, or say why it is refused.

    Args:
        predictor: a loaded model.
        dataset: the object, from :func:`edge_runtime.dicom.dataset.read_dataset`.
        frame: frame number from 1; ``ALL`` for all frames as one case; None for an object of one frame.
        region: a marked region in stored pixels, pixel centres at whole numbers.
        marks: presentation states and structured reports, one of which may mark the region.
        explain: whether to compute a heatmap, if the bundle has parts for one and the classified image has at most
            12 million pixels. Of a case, it is that of the frame that decides.
        name: name of the object in the prediction and in errors.

    Raises:
        BackendError: as in :meth:`edge_runtime.Predictor.predict`.
    """
    opened = OpenedObject(dataset, name, frame, marks, None)
    try:
        numbers = opened.frames(predictor.spec)
        if len(numbers) > MOST_FRAMES_OF_CASE:
            expected = f"at most {MOST_FRAMES_OF_CASE} as one case. Send a shorter clip."
            raise refused(Refusal.FRAMES, name, f"{len(numbers)} frames", expected)
        decides = numbers[0] if len(numbers) == 1 else _deciding(predictor, opened, numbers, region)
        return replace(_of_frame(predictor, opened, decides, region, explain), frames=len(numbers))
    except (ImageError, RegionError) as error:
        failure = DicomFailure(error.code, error.message)
    except MachineError as error:
        failure = DicomFailure(error.code, error.message, of_machine=True)
    return DicomAnswer(source_of(dataset, frame if isinstance(frame, int) else None), failure=failure)


def _deciding(
    predictor: AnyPredictor, opened: OpenedObject, numbers: Sequence[int | None], region: Region | None
) -> int | None:
    """Return the frame that decides a case."""
    found = []
    for number in numbers:
        image, marked = opened.image(predictor.spec, number, region)
        found.append(predictor.predict_decoded(image.decoded(), image.inside(marked)))
    decides = most_serious(found)
    return next(number for number, each in zip(numbers, found, strict=True) if each is decides)


def _of_frame(
    predictor: AnyPredictor, opened: OpenedObject, frame: int | None, region: Region | None, explain: bool
) -> DicomAnswer:
    image, marked = opened.image(predictor.spec, frame, region)
    inside = image.inside(marked)
    explanation = None
    if explain and image.pixels.shape[0] * image.pixels.shape[1] <= MOST_EXPLAINED_PIXELS:
        with suppress(SaliencyError):
            explanation = predictor.explain_decoded(image.decoded(), inside, None)
    prediction = predictor.predict_decoded(image.decoded(), inside) if explanation is None else explanation.prediction
    return DicomAnswer(
        image.source,
        prediction=image.told(prediction, marked),
        placement=image.placement,
        region=marked,
        explanation=explanation,
        text=image.text,
    )
