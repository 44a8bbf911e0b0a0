"""A converter's failure is told as a layer's name and a way out, never as the converter's own text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers
from keras.src.ops.math import Erfinv

from edge_runtime.bundle.manifest import Format
from export.converters import to_onnx, to_tflite
from export.converters.culprit import Culprit, explained, find_culprit, hint
from export.converters.isolation import in_own_process
from export.errors import ConversionError

WRITERS = {Format.TFLITE: to_tflite.write_float32, Format.ONNX: to_onnx.write_float32}
LIBRARY = ("Traceback", "loc(", "callsite", "error:", "\n", "export.converters", "<unknown>")


def _saved(path: Path, middle: Callable[[Any], Any]) -> str:
    image = keras.Input((8, 8, 3))
    x = middle(layers.Conv2D(4, 3, activation="relu")(image))
    keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.Conv2D(4, 3)(x)))).save(path)
    return str(path)


@pytest.mark.parametrize("form", list(Format))
def test_a_layer_inside_a_nested_network_is_named_in_one_sentence(form: Format, tmp_path: Path) -> None:
    taken = keras.Input((6, 6, 4))
    nested = keras.Model(taken, Erfinv(name="erfinv")(layers.Conv2D(4, 1)(taken) * 0.1))
    model = _saved(tmp_path / "model.keras", nested)
    with pytest.raises(ConversionError) as caught:
        in_own_process(WRITERS[form], model, str(tmp_path / f"out.{form.value}"))
    told = explained(model, form, caught.value)
    assert str(told).startswith("found layer erfinv (Erfinv), which cannot be converted to ")
    assert str(told).count(". ") == 1
    assert not [sign for sign in LIBRARY if sign in str(told)]
    assert "Erfinv" in told.log


def test_a_network_that_can_be_converted_has_no_culprit(tmp_path: Path) -> None:
    model = _saved(tmp_path / "model.keras", lambda x: layers.Add()([x, layers.BatchNormalization()(x)]))
    assert find_culprit(model, Format.TFLITE) is None
    assert hint(model, Format.ONNX) == ""


def test_a_layer_that_is_converted_wrongly_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import export.converters.culprit as module

    monkeypatch.setattr(module, "in_own_process", lambda job, *args: job(*args))
    alone, answer, tried = module._alone, module._answer, list[str]()

    def noted(layer: Any, call: Any) -> Any:
        tried.append(layer.name)
        return alone(layer, call)

    monkeypatch.setattr(module, "_alone", noted)
    monkeypatch.setattr(module, "_answer", lambda *args: answer(*args) + (0.1 if tried[-1] == "odd" else 0.0))
    model = _saved(tmp_path / "model.keras", layers.Activation("tanh", name="odd"))
    assert find_culprit(model, Format.TFLITE) == Culprit("odd", "Activation, activation tanh", differs=True)
    assert hint(model, Format.TFLITE) == " Layer odd (Activation, activation tanh) alone differs already; replace it."


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (ConversionError("x failed: ConverterError", "'tf.Bucketize' op is neither"), "found the operator Bucketize, "),
        (ConversionError("its process was killed, which the system does. Free memory."), "was killed"),
        (ConversionError("x failed: RuntimeError"), "each of its layers can"),
    ],
)
def test_without_a_layer_the_operator_or_the_machine_is_named(
    failure: ConversionError, says: str, tmp_path: Path
) -> None:
    (tmp_path / "saved").mkdir()
    assert says in str(explained(str(tmp_path / "saved"), Format.TFLITE, failure))
