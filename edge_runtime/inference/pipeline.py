"""The two halves of an answer: a picture becomes a question (read → cut → prepare), a verdict a prediction."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import Picture, Source, read
from edge_runtime.images.region import Region, crop, region_error
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.inference.prediction import Prediction, Timing
from edge_runtime.ood.detector import is_familiar
from edge_runtime.platform.machine_faults import raise_machine_fault
from edge_runtime.preprocessing.preprocessor import Prepared


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a picture, ready for an interpreter.

    Attributes:
        picture: as read, whole.
        region: what is asked about; None where the model answers about whole pictures.
        prepared: H×W×C from :meth:`Preparation.levels`.
        share: distance from the model's own pictures over the limit; None where the model says nothing about it.
        decode_ms, prepare_ms: wall clock.
    """

    picture: Picture
    region: Region | None
    prepared: Prepared
    share: float | None
    decode_ms: float
    prepare_ms: float

    @property
    def familiar(self) -> bool:
        """Whether the picture is like the model's own."""
        return is_familiar(self.share)


def ask(plan: Plan, image: Source, region: Region | None, order: ColourOrder, name: str | None) -> Question:
    """Read a picture and make it ready.

    Raises:
        ImageError: the picture, or its region, is not what the model was made for.
        RegionError: the model is asked about a region and none is given, or the other way round.
        MachineError: memory, descriptors or I/O failed; the image may be sound.
    """
    start, spec = perf_counter(), plan.spec
    if (region is None) is not (spec.region is None):
        raise region_error(region)
    picture = read(image, order=order, min_side_px=spec.min_side_px, name=name)
    decoded = perf_counter()
    try:
        shown = picture if region is None or spec.region is None else crop(picture, region, spec.region)
        prepared = plan.preparation.levels(shown)
        known = spec.familiarity
        share = None if known is None else known.share(known.judged(picture, shown))
    except Exception as error:
        raise_machine_fault(error, picture.name)
        raise
    return Question(picture, region, prepared, share, since(start, decoded), since(decoded, perf_counter()))


def answer(plan: Plan, engine: Engine, question: Question, backend: str) -> Prediction:
    """Let an engine answer a question.

    Args:
        backend: what the interpreter and what it computes with are called in the answer.

    Raises:
        BackendError: as :meth:`Engine.answer`.
        MachineError: as :func:`ask`.
    """
    start, spec = perf_counter(), plan.spec
    try:
        verdict, precision = engine.answer(question.prepared, familiar=question.familiar)
    except Exception as error:
        raise_machine_fault(error, question.picture.name)
        raise
    run_ms = since(start, perf_counter())
    return Prediction(
        image=question.picture.name,
        model=spec.name,
        version=spec.version,
        verdict=verdict,
        cutoff=spec.policy.cutoff,
        confidence_floor=spec.policy.confidence_floor,
        contract=spec.contract,
        backend=backend,
        precision=precision.value,
        ms=Timing(question.decode_ms, question.prepare_ms, run_ms),
        region=question.region,
        familiarity=question.share,
        fallback=plan.fallback,
        bundle=plan.bundle,
        sha256=question.picture.sha256,
    )


def since(start: float, end: float) -> float:
    """Return milliseconds between two readings of ``perf_counter``, to the microsecond."""
    return round((end - start) * 1000.0, 3)
