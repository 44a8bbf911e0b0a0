"""Answer held-out images once, as they are and changed, for ``drift.py``.

The images are those of the validation and the test part: the model was fitted on none of them. A change is applied to
the decoded pixels, which are then answered as an array; JPEG 70 encodes them and decodes them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime import Decision, ImageError, Precision, Runtime
from edge_runtime.assurance.drift.observations import Observation, Observations, observation
from edge_runtime.assurance.measuring_predictor import MeasuringPredictor
from edge_runtime.bundle.bundle import find
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.prediction import Failure
from edge_runtime.predictor import Predictor
from training.artifact import Artifact
from training.data.datasets import Sample
from training.data.splits import Part, select, usable
from training.recipes import find_recipe

Pixels = npt.NDArray[np.uint8]
ROOT = Path(__file__).parents[2]


def jpeg(pixels: Pixels) -> Pixels:
    """Encode as JPEG of quality 70, and decode."""
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint8)


def warmer(pixels: Pixels) -> Pixels:
    """Five per cent more red and five per cent less blue; ``pixels`` is BGR."""
    return np.asarray(np.clip(np.rint(pixels * np.array([0.95, 1.0, 1.05])), 0, 255), np.uint8)


def scaled(pixels: Pixels) -> Pixels:
    """Enlarge 1.25 times, and keep the middle of the same size, as an objective or a depth of 1.25 does."""
    height, width = pixels.shape[:2]
    large = cv2.resize(pixels, None, fx=1.25, fy=1.25, interpolation=cv2.INTER_LINEAR)
    y, x = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return np.ascontiguousarray(large[y : y + height, x : x + width])


def gamma(pixels: Pixels) -> Pixels:
    """Gamma 0.8: brighter middle levels."""
    return np.asarray(np.rint(255 * (pixels / 255.0) ** 0.8), np.uint8)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "none": lambda pixels: pixels,
    "JPEG 70": jpeg,
    "5 % warmer": warmer,
    "scale 1.25": scaled,
    "gamma 0.8": gamma,
}


@dataclass(frozen=True, eq=False)
class Pool:
    """Held-out images of one model: answers of each change, and the traits of each image."""

    answers: dict[str, Observations]
    patients: npt.NDArray[np.str_]
    traits: dict[str, npt.NDArray[np.str_]]
    decisions: dict[str, list[str]]


def held_out(model: str, data: Path) -> tuple[list[Sample], dict[str, dict[str, str]]]:
    """Return the images of validation and test, and their traits."""
    artifact = Artifact(ROOT / "training" / "models" / model)
    dataset = find_recipe(model).source.load(data)
    split = artifact.split()
    samples = [
        sample
        for part in (Part.VALIDATION, Part.TEST)
        for sample in usable(select(dataset.samples, split, part), part, dataset.contradicted)
    ]
    return samples, {sample.name: dict(dataset.traits.get(sample.name, ())) for sample in samples}


def pool(model: str, data: Path) -> Pool:
    """Answer every held-out image with every change that applies to all of them."""
    samples, traits = held_out(model, data)
    rows: dict[str, list[Observation]] = {name: [] for name in CHANGES}
    decisions: dict[str, list[str]] = {name: [] for name in CHANGES}
    kept: list[Sample] = []
    with MeasuringPredictor(find(model), Runtime.AUTO, Precision.INT8, 1) as predictor:
        for sample in samples:
            try:
                image = read(sample.path)
            except ImageError:
                continue  # a rejected image is rejected with every change
            kept.append(sample)
            for name, fields in _answers(predictor, image, sample):
                rows[name].append(observation({**fields, "time": f"{len(kept):08d}"}, str(sample.group)))
                decisions[name].append(str(fields.get("decision", "failed")))
    names = sorted({trait for found in traits.values() for trait in found})
    return Pool(
        {name: Observations.of(found) for name, found in rows.items() if len(found) == len(kept)},
        np.array([str(sample.group) for sample in kept]),
        {trait: np.array([traits[sample.name].get(trait, "") for sample in kept]) for trait in names},
        decisions,
    )


def _answers(predictor: Predictor, image: DecodedImage, sample: Sample) -> Iterator[tuple[str, dict[str, object]]]:
    for name, change in CHANGES.items():
        pixels = image.pixels
        if name == "5 % warmer" and image.order is ColourOrder.GREY:
            continue
        changed = DecodedImage(sample.name, change(np.asarray(pixels, np.uint8)), image.order, image.sha256)
        try:
            yield name, predictor.predict_decoded(changed, sample.region).to_dict()
        except ImageError as error:
            yield name, Failure(sample.name, error).to_dict()


def flips(pool: Pool, change: str) -> float:
    """Return the share of images whose decision differs from the one without a change."""
    pairs = zip(pool.decisions["none"], pool.decisions[change], strict=True)
    return float(np.mean([one != two for one, two in pairs]))


def referred(pool: Pool, change: str) -> float:
    """Return the share of images that are referred."""
    return float(np.mean([decision == Decision.REFER.value for decision in pool.decisions[change]]))
