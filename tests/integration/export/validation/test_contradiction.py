"""Mistakes of a spec, each made with networks that are right about drawn images: named with the cause, or silence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from edge_runtime.bundle.manifest import TrainingRecord
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import from_dict
from export.errors import ExportError
from export.source.calibration_images import PreparedImages
from export.source.keras_model import write_network
from export.source.source import SourceModel, _in_folder
from export.validation import contradiction
from export.validation.contradiction import contradict

LABELS = ("benign", "malignant")
BY_255 = {"kind": "scale", "divisor": 255.0, "offset": 0.0}
BY_127 = {"kind": "scale", "divisor": 127.5, "offset": -1.0}


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Any:
    """Loading TensorFlow in a process for each of these tests would take minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contradiction, "in_own_process", lambda job, *args: job(*args))
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark benign and bright malignant images, the malignant ones red, the benign ones blue."""
    folder, random = tmp_path_factory.mktemp("parity"), np.random.default_rng(2)
    for i in range(40):
        place = folder / LABELS[i % 2]
        place.mkdir(exist_ok=True)
        mean = (120, 70, 20) if i % 2 == 0 else (80, 180, 220)  # blue, green, red
        pixels = random.normal(mean, 20, (16, 16, 3)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(place / f"{i:03}.png"), pixels)
    return folder


def _spec(*scaling: dict[str, Any], order: str = "rgb", labels: tuple[str, ...] = LABELS, **more: Any) -> ModelSpec:
    resize = {"kind": "resize", "width_px": 16, "height_px": 16, "interpolation": "linear", "result": "float32"}
    plain = {
        **{"name": "own", "version": "1.0.0", "summary": "Drawn.", "labels": list(labels), "head": "softmax"},
        **{"positive": ["malignant"], "policy": {"cutoff": 0.5, "confidence_floor": 0.0}},
        "steps": [{"kind": "colour", "order": order}, resize, *scaling],
    }
    return from_dict(ModelSpec, plain | more)


def _network(*first: Any, by_colour: bool = False, zero: float | None = None, gain: float = 8.0) -> Any:
    """A network that is right about the images in RGB, scaled to 0..1 by then: by brightness, or by red less blue."""
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for layer in first:
        x = layer(x)
    convolution = layers.Conv2D(3, 1)
    x = layers.GlobalAveragePooling2D()(convolution(x))
    convolution.set_weights([np.eye(3, dtype=np.float32)[np.newaxis, np.newaxis], np.zeros(3, np.float32)])
    head = layers.Dense(2, activation="softmax")
    model = keras.Model(inputs, head(x))
    weights = np.array([gain, 0, -gain] if by_colour else [gain / 3] * 3, np.float32)
    offset = 0.0 if by_colour else -(gain / 2 if zero is None else zero)
    head.set_weights([np.stack([-weights, weights], 1), np.array([-offset, offset], np.float32)])
    return model


@pytest.fixture
def ask(images: Path, tmp_path: Path) -> Callable[..., PreparedImages]:
    def run(model: Any, spec: ModelSpec, *, insist: bool = False, labelled: bool = True, **more: Any) -> PreparedImages:
        model.save(tmp_path / "own.keras")
        held_out = _in_folder(images, spec)
        if not labelled:
            held_out = PreparedImages(held_out.tensors, held_out.source)
        np.save(tmp_path / "tensors.npy", held_out.tensors)
        paths = [str(tmp_path / name) for name in ("network.keras", "logits.npy", "refusal.txt")]
        write_network(str(tmp_path / "own.keras"), str(tmp_path / "tensors.npy"), spec, *paths)
        assert not Path(paths[2]).exists(), Path(paths[2]).read_text()
        source = SourceModel(tmp_path / "own.keras", spec, more.get("training"), (), None, None, None)
        return contradict(source, held_out, np.load(paths[1]), Path(paths[0]), tmp_path, insist)

    return run


RIGHT = {
    "scaled by the spec": (lambda: _network(), _spec(BY_255)),
    "scaled by the network": (lambda: _network(layers.Rescaling(1 / 255)), _spec()),
    "by colour": (lambda: _network(by_colour=True), _spec(BY_255)),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("labelled", [True, False])
def test_a_spec_that_fits_raises_no_alarm(ask: Callable[..., PreparedImages], name: str, labelled: bool) -> None:
    make, spec = RIGHT[name]
    assert ask(make(), spec, labelled=labelled).warnings == ()


WRONG = {
    "labels": (
        lambda: _network(),
        _spec(BY_255, labels=("malignant", "benign")),
        ["found an AUROC of 0.000", "With the labels in the order benign, malignant it is right on 40 of 40"],
    ),
    "labels, network that scales": (
        lambda: _network(layers.Rescaling(1 / 255)),
        _spec(labels=("malignant", "benign")),
        ["With the labels in the order benign, malignant it is right on 40 of 40"],
    ),
    "scaled twice": (
        lambda: _network(layers.Rescaling(1 / 255)),
        _spec(BY_255),
        ["0..0.003922 reaches it", "scaled twice", "Without the scaling steps it is right on 40 of 40"],
    ),
    "not scaled": (
        lambda: _network(),
        _spec(),
        ["found the answer POSITIVE for all 40", "With x / 255 it is right on 40 of 40"],
    ),
    "scaled to another range": (
        lambda: _network(zero=0.0),
        _spec(BY_255),
        ["found the answer POSITIVE for all 40", "With x / 127.5 - 1 it is right on 40 of 40"],
    ),
    "bgr": (
        lambda: _network(by_colour=True, gain=20),
        _spec(BY_255, order="bgr"),
        ["found an AUROC of 0.000", "it is right on 40 of 40"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_stops_with_its_cause(ask: Callable[..., PreparedImages], name: str) -> None:
    make, spec, parts = WRONG[name]
    with pytest.raises(ExportError) as caught:
        ask(make(), spec)
    for part in (*parts, "own.keras: found", "--insist"):
        assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_who_insists_gets_the_warning(ask: Callable[..., PreparedImages], caplog: pytest.LogCaptureFixture) -> None:
    make, spec, parts = WRONG["labels"]
    with caplog.at_level(logging.WARNING):
        found = ask(make(), spec, insist=True)
    for part in parts:
        assert part in found.warnings[0]
        assert part in caplog.text


def test_without_labels_scaling_twice_is_told(ask: Callable[..., PreparedImages]) -> None:
    [told] = ask(_network(layers.Rescaling(1 / 255, name="inside")), _spec(BY_255), labelled=False).warnings
    assert "give 0..1 and a network that scales by itself (inside), so that 0..0.003922 reaches it" in told


def test_without_labels_constant_scores_are_told(ask: Callable[..., PreparedImages]) -> None:
    [told] = ask(_network(gain=0.0), _spec(BY_255), labelled=False).warnings
    assert "found the same scores for all 40" in told


def test_a_training_artifact_is_left_alone(ask: Callable[..., PreparedImages]) -> None:
    make, spec, _ = WRONG["labels"]
    training: TrainingRecord = object()  # type: ignore[assignment]  # only whether there is one counts
    assert ask(make(), spec, training=training).warnings == ()
