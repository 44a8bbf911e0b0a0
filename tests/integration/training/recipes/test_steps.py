"""Every recipe takes a step on images in its published layout, read as its fit reads them."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests import ultrasound_sites
from training.data.datasets import busi, idc, mendeley, mias
from training.data.tensors import Tensors, load_tensors
from training.fitting.fit import train_network
from training.recipes import RECIPES
from training.recipes.recipe import Recipe

TRAINED = 6
"""Of ten images; the others validate. One process that fits all recipes in turn then peaks at 5.8 GB."""


def _write(path: Path, shape: tuple[int, ...], seed: int, noise: int = 0) -> None:
    """Write coarse noise: blocks, so that a resize leaves contrast and no two images are alike.

    Fine noise of up to ``noise`` levels is subtracted.
    """
    rng = np.random.default_rng(seed)
    height, width, *channels = shape
    coarse = rng.integers(0, 256, (9, 11, *channels), dtype=np.uint8)
    image = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST))
    if noise:
        image = np.where(image > noise, image - rng.integers(0, noise, image.shape), image).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def _write_mendeley(root: Path) -> None:
    """Eight labels, ten sources."""
    for n in range(10):
        label = mendeley.LABELS[n % len(mendeley.LABELS)]
        _write(root / mendeley.FOLDER / label / f"{20586900 + n}.png", (224, 224), n)


def _write_mias(root: Path) -> None:
    """Odd films are normal. They have fine noise, because a region of one level is refused as blank."""
    folder = root / mias.FOLDER
    for n in range(1, 11):
        _write(folder / f"mdb{n:03}.pgm", (mias.SIDE_PX, mias.SIDE_PX), n, noise=24)
    lines = [f"mdb{n:03} G NORM" if n % 2 else f"mdb{n:03} D CIRC B {500 + n} 400 30" for n in range(1, 11)]
    (folder / mias.INFO).write_text("\n".join(lines) + "\n", encoding="ascii")


def _write_idc(root: Path) -> None:
    """Five patients with a patch of each label; one at a slide's edge, stretched."""
    for n in range(10):
        patient, label = 8863 + n // 2, n % 2
        name = f"{patient}_idx5_x{50 * n + 1}_y51_class{label}.png"
        _write(root / idc.FOLDER / str(patient) / str(label) / name, (50, 32 if n == 0 else 50, 3), n)


def _write_busi(root: Path) -> None:
    """Odd sizes, each image with its mask."""
    for n in range(10):
        label = busi.LABELS[n % 3]
        for suffix, seed in (("", n), ("_mask", 99)):
            _write(root / busi.FOLDER / label / f"{label} ({n + 1}){suffix}.png", (470 + n, 561 - n), seed)


def _write_breast(root: Path) -> None:
    """Images of all three sites; eight of the ten have a lesion."""
    ultrasound_sites.write_busi(root, count=1)
    ultrasound_sites.write_busbra(root, patients=2)
    ultrasound_sites.write_breast(root, patients=3)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "density": _write_mendeley,
    "mias": _write_mias,
    "idc": _write_idc,
    "phantom": _write_idc,
    "busi": _write_busi,
    "breast": _write_breast,
}
"""By the first word of a recipe's name."""


EAGER = ("densenet121", "efficientnetv2b0", "shufflenet")
"""Networks of hundreds of layers: their step runs eagerly, because its graph alone takes up to a minute to build."""


@pytest.fixture
def _one_network_at_a_time(name: str) -> Iterator[None]:
    tf.config.run_functions_eagerly(name.endswith(EAGER))
    yield
    tf.config.run_functions_eagerly(False)
    keras.backend.clear_session()  # collects garbage, too


def _tensors(recipe: Recipe, root: Path) -> tuple[Tensors, Tensors]:
    LAYOUTS[recipe.spec.name.split("-")[0]](root)
    samples = recipe.source.load(root).samples  # ten images, or the eight or nine regions of them
    tensors = load_tensors(samples, recipe.spec, label="made")
    assert tensors.refused == ()
    assert len(tensors.images) == len(samples) in (8, 9, 10)
    order = np.random.default_rng(2).permutation(len(samples)).astype(np.int64)
    return tensors.take(order[:TRAINED]), tensors.take(order[TRAINED:])


def _last(model: keras.Model, recipe: Recipe) -> keras.layers.Layer:
    """Return the layer of the logits; in a network with a map of the lesion, the dense layer that is added to them."""
    return model.get_layer("logits" if recipe.crops is None else "logits_of_mean")


@pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")  # tf.data is not meant
@pytest.mark.usefixtures("_one_network_at_a_time")
@pytest.mark.parametrize("name", RECIPES)
def test_a_step_of_the_fit_moves_the_last_layer_and_its_loss_is_finite(name: str, tmp_path: Path) -> None:
    """At most six images fit into one batch of every plan, so that one epoch is one step."""
    recipe = RECIPES[name]
    assert recipe.plan.batch >= TRAINED
    train, validation = _tensors(recipe, tmp_path / "data")
    before: list[npt.NDArray[np.float32]] = []

    def watched(weights: str | None) -> keras.Model:
        model = recipe.network(weights)
        before.extend(_last(model, recipe).get_weights())
        return model

    history = tmp_path / "history.csv"
    crops = None if recipe.crops is None else dataclasses.replace(recipe.crops, epoch=TRAINED)
    fitted = dataclasses.replace(recipe, network=watched, crops=crops)
    model = train_network(fitted, train, validation, epochs=1, history=history)
    with history.open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert np.isfinite([float(row["loss"]), float(row["val_loss"])]).all(), row
    moved = [
        float(np.abs(new - old).max()) for new, old in zip(_last(model, recipe).get_weights(), before, strict=True)
    ]
    assert all(np.isfinite(moved)), moved
    assert max(moved) > 0, f"{name}: the last layer did not move"
