"""Classification of DICOM objects: open what is no plain image, and classify one frame or all frames as a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from edge_runtime.dicom.cine import most_serious
from edge_runtime.dicom.study import Frame, OpenedObject, open_object
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.region import Region
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.inference.pipeline import InferenceInput, infer, read_input
from edge_runtime.inference.prediction import Prediction


def open_source(
    plan: Plan,
    source: Any,
    region: Region | None,
    order: ColourOrder,
    name: str | None,
    frame: Frame,
    marks: Sequence[Any],
) -> InferenceInput | OpenedObject:
    """Return a DICOM object, opened, or anything else that the reader of images takes, preprocessed.

    Arguments and errors as in :meth:`edge_runtime.Predictor.predict`.
    """
    opened = open_object(source, name, frame, marks, plan.spec)
    return opened if not isinstance(opened, tuple) else read_input(plan, opened[0], region, order, opened[1])


def predict_object(plan: Plan, engine: Engine, opened: OpenedObject, region: Region | None, backend: str) -> Prediction:
    """Return the prediction on a DICOM object; of all frames, that of the most serious one.

    Args:
        region: the region to classify, in stored pixels.
        backend: as in :func:`edge_runtime.inference.pipeline.infer`.

    Raises:
        DicomError: the object, or what is asked of it, is refused.
        RegionError, BackendError, MachineError: as in :meth:`edge_runtime.Predictor.predict`.
    """
    return most_serious([_of_frame(plan, engine, opened, frame, region, backend) for frame in opened.frames(plan.spec)])


def _of_frame(
    plan: Plan, engine: Engine, opened: OpenedObject, frame: int | None, region: Region | None, backend: str
) -> Prediction:
    start = perf_counter()
    found, stored = opened.image(plan.spec, frame, region)
    decode_ms = 1000.0 * (perf_counter() - start)
    image = found.decoded()
    preprocessed = read_input(plan, image, found.inside(stored), image.order, None)
    prediction = infer(plan, engine, preprocessed, backend)
    return found.told(replace(prediction, ms=replace(prediction.ms, decode=decode_ms)), stored)
