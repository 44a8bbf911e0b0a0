"""A model made elsewhere is fitted to int8 without labels: the same layers, filters on the grid, a smaller error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.places import ROOT
from training.cli import main
from training.errors import ArtifactError
from training.fitting.int8_fit import fit_to_int8
from training.networks.int8_simulation import extremes, simulated
from training.networks.weight_quantisation import round_kernel

SIDE = 12


def _network() -> Any:
    """BatchNorm after ReLU with factors that differ: its outliers take most of the steps of int8."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    inputs = keras.Input((SIDE, SIDE, 3))
    norm = layers.BatchNormalization()
    x = norm(layers.Conv2D(8, 3, activation="relu")(inputs))
    x = layers.Conv2D(8, 3, activation="relu")(layers.MaxPooling2D()(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(layers.Flatten()(x)))
    scale = np.array([40, 1, 1, 1, 1, 1, 1, 1], np.float32)
    norm.set_weights([scale, *norm.get_weights()[1:]])
    model.layers[-1].set_weights([3 * weights for weights in model.layers[-1].get_weights()])
    return model


@pytest.fixture(scope="module")
def images() -> Any:
    return np.random.default_rng(1).random((48, SIDE, SIDE, 3), dtype=np.float32) * 2 - 1


def test_the_fit_lowers_the_error_of_int8_and_leaves_filters_on_the_grid(images: Any) -> None:
    model = _network()
    before = [np.array(weights) for weights in model.get_weights()]
    done = fit_to_int8(model, images, epochs=6)
    assert done.after < 0.85 * done.before, f"{done.after:.4f} of {done.before:.4f}"
    assert [type(layer) for layer in done.model.layers] == [type(layer) for layer in model.layers]
    for kernel in (layer.kernel for layer in done.model.layers if "conv" in layer.name):
        np.testing.assert_allclose(np.asarray(kernel), round_kernel(np.asarray(kernel), 3), atol=1e-7)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_error_is_that_of_the_simulated_model_with_the_fitted_weights(images: Any) -> None:
    model = _network()
    done = fit_to_int8(model, images, epochs=1)
    student = simulated(model, extremes(model, [images]))
    student.set_weights(done.model.get_weights())
    error = np.abs(np.asarray(student(images)) - np.asarray(model(images))).mean()
    assert error == pytest.approx(done.after, rel=1e-3)


def test_a_model_of_two_outputs_is_refused(images: Any) -> None:
    import keras

    model = _network()
    two = keras.Model(model.inputs, [model.outputs[0], model.layers[1].output])
    with pytest.raises(ArtifactError, match="found 1 inputs and 2 outputs"):
        fit_to_int8(two, images, epochs=0)


def _spec(folder: Path) -> Path:
    docs = (ROOT / "docs" / "reference" / "spec.md").read_text(encoding="utf-8")
    plain = json.loads(docs.split("```json\n")[1].split("```")[0]) | {"min_side_px": 8}
    plain["steps"][1] |= {"width_px": SIDE, "height_px": SIDE}
    (folder / "spec.json").write_text(json.dumps(plain), encoding="utf-8")
    return folder / "spec.json"


def test_the_command_writes_a_model_and_says_what_it_gained(tmp_path: Path) -> None:
    import keras

    _network().save(tmp_path / "model.keras")
    (tmp_path / "data").mkdir()
    for i in range(32):
        pixels = np.random.default_rng([2, i]).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / f"{i:02}.png")
    options = {"spec": _spec(tmp_path), "data": tmp_path / "data", "out": tmp_path / "new.keras", "epochs": 1}
    arguments = [str(tmp_path / "model.keras"), *(str(part) for k, v in options.items() for part in (f"--{k}", v))]
    done = CliRunner().invoke(main, ["settle", *arguments])
    assert done.exit_code == 0, done.output
    assert "simulated int8 differs from the float32 outputs" in done.stdout
    assert "on 32 images" in done.stdout
    assert keras.models.load_model(tmp_path / "new.keras").count_params() == _network().count_params()
    again = CliRunner().invoke(main, ["settle", *arguments])
    assert (again.exit_code, again.stdout) == (1, "")
    assert "expected the path of a new .keras file" in again.stderr
