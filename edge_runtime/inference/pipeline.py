"""Steps for one image: read, crop and preprocess (:func:`read_input`), then infer and decide (:func:`infer`)."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.content_hash import ContentHash
from edge_runtime.images.formats.acceptance import check_size
from edge_runtime.images.reader import DecodedImage, Source, read, source_name
from edge_runtime.images.region import Region, crop, region_error
from edge_runtime.inference.engine import EXACT, Engine, Plan
from edge_runtime.inference.prediction import Prediction, Timing, now
from edge_runtime.ood.detector import NAMES
from edge_runtime.platform.machine_faults import raise_machine_fault
from edge_runtime.preprocessing.preprocessor import Preprocessed

STATISTIC_DIGITS = 6
"""Decimals of image statistics in predictions; the statistics are about -1..1."""


class InferenceInput(NamedTuple):
    """One image, preprocessed for an interpreter.

    Attributes:
        image: the whole decoded image.
        region: the marked region; None for models that take whole images.
        prepared: H×W×C from :meth:`Preprocessor.levels`.
        share: what the out-of-distribution check says without the network: distance divided by the limit from image
            statistics, or the excess over limits of the image; None if the model has no such check.
        decode_s, prepare_s: wall-clock seconds.
    """

    image: DecodedImage
    region: Region | None
    prepared: Preprocessed
    share: float | None
    decode_s: float
    prepare_s: float


def read_input(
    plan: Plan, source: Source | DecodedImage, region: Region | None, order: ColourOrder, name: str | None
) -> InferenceInput:
    """Read an image, crop the marked region if there is one, and preprocess it.

    An image that is decoded already is only checked for its size.

    Raises:
        ImageError: the image or its region is not valid for this model.
        RegionError: the model requires a region and none is given, or it takes none and one is given.
        MachineError: memory, file descriptors or I/O failed; the image may be sound.
    """
    start, spec = perf_counter(), plan.spec
    if (region is None) is not (spec.region is None):
        raise region_error(region)
    try:
        if isinstance(source, DecodedImage):
            image = source
            check_size(image.pixels.shape[1], image.pixels.shape[0], spec.min_side_px, image.name)
        else:
            image = read(source, order=order, min_side_px=spec.min_side_px, name=name)
        decoded = perf_counter()
        cropped = image if region is None or spec.region is None else crop(image, region, spec.region)
        prepared = plan.preprocessor.levels(cropped)
        detector = spec.familiarity
        share = None if detector is None else detector.image_share(image, cropped)
    except Exception as error:
        raise_machine_fault(error, name or source_name(source))
        raise
    return InferenceInput(image, region, prepared, share, decoded - start, perf_counter() - decoded)


def infer(plan: Plan, engine: Engine, preprocessed: InferenceInput, backend: str) -> Prediction:
    """Run the network and decide.

    Args:
        backend: name of the interpreter and its provider, copied into the prediction.

    Raises:
        BackendError: as in :meth:`Engine.answer`.
        MachineError: as in :func:`read_input`.
    """
    start, spec = perf_counter(), plan.spec
    try:
        answer = engine.answer(preprocessed.prepared, preprocessed.share)
    except Exception as error:
        raise_machine_fault(error, preprocessed.image.name)
        raise
    run_s, hashed = perf_counter() - start, preprocessed.image.sha256
    return Prediction(
        image=preprocessed.image.name,
        model=spec.name,
        version=spec.version,
        verdict=answer.verdict,
        cutoff=spec.policy.cutoff,
        confidence_floor=spec.policy.confidence_floor,
        contract=spec.contract,
        backend=backend,
        precision=EXACT if answer.exact else plan.first_name,
        ms=Timing(1000.0 * preprocessed.decode_s, 1000.0 * preprocessed.prepare_s, 1000.0 * run_s),
        region=preprocessed.region,
        familiarity=answer.share,
        fallback=plan.fallback,
        bundle=plan.bundle,
        sha256=hashed.kept() if isinstance(hashed, ContentHash) else hashed,
        site_policy=plan.site_policy,
        statistics=_statistics(preprocessed.image) if plan.statistics else None,
        burnt_in_text=None,
        time=now(),
    )


def _statistics(image: DecodedImage) -> dict[str, float]:
    """Return size and statistics of the whole image by name; see docs/reference/statistics.md."""
    # imported here: most predictions do not contain them
    from edge_runtime.ood.statistics import statistics

    height, width = image.pixels.shape[:2]
    numbers = (round(value, STATISTIC_DIGITS) for value in statistics(image).tolist())
    return {"width": width, "height": height, **dict(zip(NAMES, numbers, strict=True))}
