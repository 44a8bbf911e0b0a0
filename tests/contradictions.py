"""Mistakes made on purpose with fitted networks, and what the exporter says: ``python -m tests.contradictions DATA``.

DATA has a folder for each published data set (idc, mias, busi, busbra, breast, mendeley). The ten published recipes and
the models of this project must raise no alarm with their own spec. A published network that is not at hand is built
with random weights, and its last layer is fitted on the images that it is then tried on: it is right about them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Normalize, Scale
from export.errors import CalibrationError, ExportError
from export.source.calibration_images import PreparedImages, Truth, preprocess_all
from export.source.encoded_images import EncodedImage
from export.source.keras_model import write_network
from export.source.source import SourceModel
from export.validation import contradiction
from tests.places import ROOT
from training.data.datasets.dataset import Sample
from training.data.splits import Part, select
from training.recipes import RECIPES
from training.recipes.recipe import Recipe

MODELS = ROOT / "training" / "models"
SETS = {
    **dict.fromkeys(("idc-patch", "idc-patch-compact", "idc-patch-large"), "idc"),
    **dict.fromkeys(("mias-abnormality", "mias-region"), "mias"),
    **dict.fromkeys(("busi-densenet121", "busi-compact", "busi-nano"), "busi"),
    **{name: "mendeley" for name in RECIPES if name.startswith("density")},
}
"""Name of the data set of each recipe; the ultrasound models take the folder of all."""

IMAGES, FEW = 400, 64
"""Number of images of a network with inputs of up to 64×64 px, and of others."""


def reversed_labels(spec: ModelSpec) -> ModelSpec:
    """Return a spec whose labels stand in the reverse order."""
    labels = spec.labels[::-1]
    return replace(spec, labels=labels, positive=labels[1:] if spec.head is Head.SIGMOID else spec.positive)


def scaled_twice(spec: ModelSpec) -> ModelSpec:
    """Return a spec that applies its last scaling again, or x / 255 if it has none."""
    last = spec.steps[-1]
    again = last if isinstance(last, Scale | Normalize) else Scale(255.0, 0.0)
    return replace(spec, steps=(*spec.steps, again))


def not_scaled(spec: ModelSpec) -> ModelSpec:
    """Return a spec without its scaling."""
    steps = spec.steps
    while isinstance(steps[-1], Scale | Normalize):
        steps = steps[:-1]
    return replace(spec, steps=steps)


def other_colour_order(spec: ModelSpec) -> ModelSpec:
    """Return a spec with BGR for RGB, or the reverse."""
    other = {ColourOrder.RGB: ColourOrder.BGR, ColourOrder.BGR: ColourOrder.RGB}
    steps = (replace(s, order=other.get(s.order, s.order)) if isinstance(s, Colour) else s for s in spec.steps)
    return replace(spec, steps=tuple(steps))


MISTAKES: dict[str, Callable[[ModelSpec], ModelSpec]] = {
    "none": lambda spec: spec,
    "labels reversed": reversed_labels,
    "scaled twice": scaled_twice,
    "not scaled": not_scaled,
    "colour order": other_colour_order,
}


def chosen(samples: list[Sample], count: int, spec: ModelSpec) -> list[Sample]:
    """Return the same number of images of each label, spread over their names, without those that ``spec`` refuses."""
    labels = sorted({sample.label for sample in samples})
    found: list[Sample] = []
    for label in labels:
        mine = [sample for sample in samples if sample.label == label]
        rows = np.unique(np.linspace(0, len(mine) - 1, min(len(mine), count // len(labels))).round().astype(int))
        found += [mine[row] for row in rows if _accepted(mine[row], spec)]
    return sorted(found, key=lambda sample: sample.name)


def _accepted(sample: Sample, spec: ModelSpec) -> bool:
    try:
        preprocess_all([EncodedImage(sample.name, sample.path)], spec, role="parity")
    except CalibrationError:
        return False
    return True


def parity_images(samples: list[Sample], own: ModelSpec, spec: ModelSpec) -> PreparedImages:
    """Preprocess samples by ``spec``; their labels are those of ``own``, found by name."""
    files = tuple(EncodedImage(sample.name, sample.path) for sample in samples)
    labels = np.array([spec.labels.index(own.labels[sample.label]) for sample in samples], np.int64)
    truth = Truth(labels, np.array([sample.group for sample in samples]))
    return PreparedImages(preprocess_all(files, spec, role="parity"), "images", truth, files)


def said(model: Path, samples: list[Sample], own: ModelSpec, spec: ModelSpec, *, labelled: bool = True) -> str:
    """Return what the exporter says of a model with ``spec``; empty if nothing. ``own`` is the spec of its fit."""
    held_out = parity_images(samples, own, spec)
    if not labelled:
        held_out = replace(held_out, truth=None)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        np.save(scratch / "tensors.npy", held_out.tensors)
        paths = [str(scratch / name) for name in ("network.keras", "logits.npy", "refusal.txt")]
        write_network(str(model), str(scratch / "tensors.npy"), spec, None, *paths)
        if Path(paths[2]).exists():
            return Path(paths[2]).read_text(encoding="utf-8")
        source = SourceModel(model, spec, None, (), None, None, None)
        try:
            found = contradiction.contradict(source, held_out, np.load(paths[1]), Path(paths[0]), scratch, False)
        except ExportError as error:
            return str(error)
    return " ".join(f"WARNING {text}" for text in found.warnings)


def colours() -> Any:
    """Build a network with random weights that sees the colours of a 50×50×3 image, whatever their places."""
    import keras
    from keras import layers

    inputs = keras.Input((50, 50, 3))
    spread = keras.initializers.RandomNormal(stddev=3.0, seed=1)
    x = layers.Conv2D(32, 1, activation="relu", kernel_initializer=spread, bias_initializer=spread)(inputs)
    return keras.Model(inputs, layers.Dense(2, activation="sigmoid")(layers.GlobalAveragePooling2D()(x)))


def with_fitted_head(
    recipe: Recipe, samples: list[Sample], out: Path, network: Callable[[], Any] | None = None
) -> Path:
    """Build a network (a recipe's own) with random weights, fit its last layer on ``samples``, and save it."""
    import keras

    keras.utils.set_random_seed(0)
    model = (network or recipe.network)()
    tensors = parity_images(samples, recipe.spec, recipe.spec)
    dense = next(layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense))
    features = keras.Model(model.inputs, dense.input).predict(tensors.tensors, batch_size=8, verbose=0)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    x = np.c_[(features - mean) / deviation, np.ones(len(features))].astype(np.float64)
    assert tensors.truth is not None
    y = 6.0 * np.eye(len(recipe.spec.labels))[tensors.truth.labels] - 3.0
    y = y[:, 1:] if recipe.spec.head is Head.SIGMOID else y
    solved = x.T @ np.linalg.solve(x @ x.T + np.eye(len(x)) * 1e-3, y)
    kernel = solved[:-1] / deviation[:, np.newaxis]
    dense.set_weights([kernel.astype(np.float32), (solved[-1] - mean @ kernel).astype(np.float32)])
    model.save(out)
    return out


def cases(
    data: Path, names: list[str], most: int | None, scratch: Path
) -> Iterator[tuple[str, Path, ModelSpec, list[Sample]]]:
    """Yield name, model, spec of the fit and labelled images of each recipe."""
    for name in names:
        recipe = RECIPES[name]
        samples: Any = recipe.source.load(data / SETS[name] if name in SETS else data).samples
        count = most or (IMAGES if max(recipe.spec.size_px) <= 64 else FEW)
        fitted = MODELS / name / "model.keras"
        if fitted.is_file():
            from training.artifact import Artifact

            artifact = Artifact(MODELS / name)
            images = chosen(list(select(samples, artifact.split(), Part.VALIDATION)), count, artifact.spec())
            yield name, fitted, artifact.spec(), images
        else:
            images = chosen(list(samples), count, recipe.spec)
            spec = replace(recipe.spec, policy=DecisionPolicy(0.5, 0.0))
            yield (
                f"{name} (last layer fitted)",
                with_fitted_head(recipe, images, scratch / f"{name}.keras"),
                spec,
                images,
            )


def main(data: Path, names: list[str]) -> None:
    """Print a table."""
    contradiction.in_own_process = lambda job, *args: job(*args)  # type: ignore[assignment]
    print("| network | mistake | images | seconds | said |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, model, spec, images in cases(data, names, None, Path(folder)):
            for mistake, make in MISTAKES.items():
                if mistake != "none" and (model.parent == Path(folder) or make(spec) == spec):
                    continue
                for labelled in (True, False):
                    start = time.monotonic()
                    text = said(model, images, spec, make(spec), labelled=labelled).replace(str(model), "…")
                    known = "labelled" if labelled else "unlabelled"
                    row = (name, f"{mistake}, {known}", len(images), f"{time.monotonic() - start:.0f}", text or "–")
                    print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main(Path(sys.argv[1]), sys.argv[2:] or list(RECIPES))
