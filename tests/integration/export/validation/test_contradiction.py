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


def _spec(
    *scaling: dict[str, Any], order: str = "rgb", labels: tuple[str, ...] = LABELS, side: int = 16, **more: Any
) -> ModelSpec:
    resize = {"kind": "resize", "width_px": side, "height_px": side, "interpolation": "linear", "result": "float32"}
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
    def run(
        model: Any,
        spec: ModelSpec,
        *,
        insist: bool = False,
        labelled: bool = True,
        folder: Path = images,
        **more: Any,
    ) -> PreparedImages:
        model.save(tmp_path / "own.keras")
        held_out = _in_folder(folder, spec)
        if not labelled:
            held_out = PreparedImages(held_out.tensors, held_out.source)
        np.save(tmp_path / "tensors.npy", held_out.tensors)
        paths = [str(tmp_path / name) for name in ("network.keras", "logits.npy", "refusal.txt")]
        write_network(str(tmp_path / "own.keras"), str(tmp_path / "tensors.npy"), spec, None, *paths)
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


def _drawn(folder: Path, draw: Callable[[int, int], Any], labels: tuple[str, ...] = LABELS, count: int = 40) -> Path:
    """Write ``count`` images drawn from their label's index and their own."""
    for i in range(count):
        place = folder / labels[i % len(labels)]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{i:03}.png"), np.asarray(draw(i % len(labels), i)).astype(np.uint8))
    return folder


def _stripes(label: int, row: int) -> Any:
    """Vertical stripes of 4 px (benign) or 8 px, on 64×64 px; the row gives their phase and brightness."""
    x = (np.arange(64) + 3 * row) // (4 << label) % 2
    return np.broadcast_to((x * (200 + row))[np.newaxis, :, np.newaxis], (64, 64, 3))


@pytest.mark.parametrize(("side", "alarm"), [(32, False), (64, True)])
def test_a_size_that_the_network_was_not_fitted_on_is_named(
    ask: Callable[..., PreparedImages], tmp_path: Path, side: int, alarm: bool
) -> None:
    """The network counts edges: at 64×64 px, each image has half as many a pixel as at 32×32 px."""
    inputs = keras.Input((None, None, 3))
    edges, head = layers.Conv2D(1, (1, 2), activation="relu"), layers.Dense(2, activation="softmax")
    model = keras.Model(inputs, head(layers.GlobalAveragePooling2D()(edges(inputs))))
    edges.set_weights([np.array([1 / 3, -1 / 3], np.float32).repeat(3).reshape(1, 2, 3, 1), np.zeros(1, np.float32)])
    head.set_weights([np.array([[50.0, -50.0]], np.float32), np.array([-8.0, 8.0], np.float32)])
    folder, spec = _drawn(tmp_path / "stripes", _stripes), _spec(BY_255, side=side)
    if not alarm:
        assert ask(model, spec, folder=folder).warnings == ()
        return
    with pytest.raises(
        ExportError,
        match=r"Or: With 32×32 px it is right on 40 of 40 \(AUROC 1\.000\): it was fitted on images of that size",
    ):
        ask(model, spec, folder=folder)


def test_two_mistakes_at_once_are_named_together(
    ask: Callable[..., PreparedImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network looks at red alone. Keras' torch mode would be right by both its scaling and its order."""
    plain = contradiction.alternatives
    monkeypatch.setattr(
        contradiction, "alternatives", lambda *a, **k: [each for each in plain(*a, **k) if "torch" not in each.how]
    )
    model = _network()
    red = np.array([[-20, 20], [0, 0], [0, 0]], np.float32)
    model.layers[-1].set_weights([red, np.array([12, -12], np.float32)])
    with pytest.raises(
        ExportError,
        match=r"With x / 255 and with colour order rgb it is right on 40 of 40 \(AUROC 1\.000\): it was fitted",
    ):
        ask(model, _spec(order="bgr"))


THREE = ("normal", "benign", "malignant")


@pytest.mark.parametrize(
    ("order", "alarm"), [(THREE, False), (THREE[::-1], True), (("benign", "normal", "malignant"), True)]
)
def test_labels_of_three_in_another_order(
    ask: Callable[..., PreparedImages], tmp_path: Path, order: tuple[str, ...], alarm: bool
) -> None:
    """The network tells three levels of grey apart. The last order exchanges labels that are not positive."""
    folder = _drawn(tmp_path / "greys", lambda label, i: np.full((16, 16, 3), 40 + 85 * label + i), THREE, 45)
    inputs = keras.Input((16, 16, 3))
    head = layers.Dense(3, activation="softmax")
    model = keras.Model(inputs, head(layers.GlobalAveragePooling2D()(inputs)))
    weights = np.array([[0.0, 30.0, 60.0]] * 3, np.float32) / 3
    head.set_weights([weights, np.array([0.0, -12.0, -34.0], np.float32)])
    spec = _spec(BY_255, labels=order)
    if not alarm:
        assert ask(model, spec, folder=folder).warnings == ()
        return
    with pytest.raises(ExportError, match=r"labels in the order normal, benign, malignant it is right on 4[45] of 45"):
        ask(model, spec, folder=folder)


def test_a_network_that_was_fitted_on_images_scaled_twice_is_believed(ask: Callable[..., PreparedImages]) -> None:
    """Labelled images show that it is right; without labels its first layers are told."""
    model = _network(layers.Rescaling(1 / 255), gain=2040.0, zero=4.0)
    assert ask(model, _spec(BY_255)).warnings == ()
    [told] = ask(model, _spec(BY_255), labelled=False).warnings
    assert "scaled twice" in told


def test_without_labels_a_saturated_first_layer_is_told(ask: Callable[..., PreparedImages]) -> None:
    inputs = keras.Input((16, 16, 3))
    mean = keras.initializers.Constant(1 / 27)
    x = layers.Conv2D(4, 3, activation="tanh", kernel_initializer=mean, name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    assert ask(model, _spec(BY_255), labelled=False).warnings == ()
    told = ask(model, _spec(), labelled=False).warnings
    assert "of the values of first (tanh) at its bounds: it is saturated" in told[0]


def test_labels_of_too_few_images_stop_nothing_and_that_is_told(
    ask: Callable[..., PreparedImages], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 34 images two are malignant, and the network ranks both last: by chance in 1 of 561 folders, but once here."""
    grey = [60.0] * 16 + [90.0] * 15 + [255.0]
    for i, level in enumerate(grey):
        _drawn(tmp_path / "few" / f"{i}", lambda label, _, level=level: np.full((16, 16, 3), level), ("benign",), 1)
    _drawn(tmp_path / "few" / "x", lambda label, _: np.full((16, 16, 3), 70), ("malignant",), 1)
    with caplog.at_level(logging.WARNING):
        assert ask(_network(zero=7.0), _spec(BY_255), folder=tmp_path / "few").warnings == ()
    assert "They are too few to show a fault: not shown" in caplog.text


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
