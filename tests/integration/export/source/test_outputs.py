"""One of several outputs by its name, and networks that were built for one image at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from export.errors import ExportError
from export.source.batches import with_open_batch
from export.source.outputs import output_names, with_output
from export.source.saved_models import load_as_saved

IMAGES = np.random.default_rng(0).random((3, 8, 8, 3), dtype=np.float32)


def _two(*, named: bool = False) -> Any:
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    density, scores = layers.Dense(3, name="density")(x), layers.Dense(2, name="scores", activation="softmax")(x)
    return keras.Model(image, {"z": density, "finding": scores} if named else [density, scores])


@pytest.mark.parametrize(
    ("named", "ending", "names"),
    [
        (False, ".keras", ("density", "scores")),
        (False, ".h5", ("density", "scores")),
        (False, "", ("output_0", "output_1")),
        (True, ".keras", ("finding", "z")),
        (True, "", ("finding", "z")),
    ],
)
def test_each_output_has_a_name_and_is_the_one_that_was_saved(
    named: bool, ending: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    model, path = _two(named=named), tmp_path / f"model{ending}"
    if ending:
        model.save(path)
    else:
        model.export(path, verbose=False)
    saved = load_as_saved(path)
    assert output_names(saved) == names
    given = model(IMAGES)
    expected = [given[name] for name in names] if named else given
    for name, values in zip(names, expected, strict=True):
        found = with_output(saved, name, "here")
        np.testing.assert_allclose(np.asarray(found(IMAGES)), np.asarray(values), atol=1e-6)


def test_an_output_that_is_not_there_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(ExportError, match=r"here: found no output score, expected one of density, scores\."):
        with_output(_two(), "score", "here")


def test_the_only_output_may_be_named() -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Dense(2, name="scores")(layers.Flatten()(image)))
    assert with_output(model, "scores", "here") is model


def test_one_layer_called_twice_gives_two_names() -> None:
    image = keras.Input((4,))
    dense = layers.Dense(4, name="twice")
    assert output_names(keras.Model(image, [dense(image), dense(dense(image))])) == ("twice", "twice_2")


def _fixed(middle: Any) -> Any:
    image = keras.Input(batch_shape=(1, 8, 8, 3))
    return keras.Model(image, layers.Dense(2)(layers.Flatten()(middle(layers.Conv2D(4, 3)(image)))))


def test_a_batch_of_one_is_opened_with_the_same_weights() -> None:
    model = _fixed(layers.BatchNormalization())
    opened = with_open_batch(model)
    assert opened.input_shape == (None, 8, 8, 3)
    expected = np.concatenate([np.asarray(model(image[np.newaxis])) for image in IMAGES])
    np.testing.assert_allclose(np.asarray(opened(IMAGES)), expected, atol=1e-6)


def test_a_layer_that_needs_the_number_of_images_keeps_it() -> None:
    model = _fixed(lambda x: keras.ops.reshape(x, (1, 144)))
    assert with_open_batch(model) is model
    opened = with_open_batch(_fixed(layers.Identity()))
    assert with_open_batch(opened) is opened
