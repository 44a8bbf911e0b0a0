"""Every exported file on every runtime installed here, against the full Keras model, from file bytes to logits.

The Keras side is written out anew: OpenCV calls as the published program makes them, then ``predict``. The
images are of patients that neither the weights, the int8 ranges nor the guard band have seen. Three more sets
are no images: noise, constant tensors that reach each of the 256 levels of an int8 input, and their blends
with images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
import numpy.typing as npt
import pytest

from edge_runtime.bundle.bundle import Bundle, find
from edge_runtime.bundle.manifest import Format, Precision
from edge_runtime.decision.scores import positive_scores
from edge_runtime.images.reader import read
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT, installed, open_model
from edge_runtime.preprocessing.preprocessor import preprocess
from tests.system_4 import ARTIFACT, BUNDLE
from training.artifact import Artifact
from training.data.datasets import idc
from training.data.datasets.phantoms import PhantomSet, write
from training.data.splits import Part, select

Floats = npt.NDArray[np.float32]

UNSEEN = PhantomSet(patients=12, patches_per_patient=16, seed=77)  # the fitted phantoms have seed 0
PUBLISHED_IMAGES = 300
SETS = ("pictures", "blends", "noise", "constants")

FLOAT32_LOGIT = 1e-4
"""Relative to max(1, |logit|). Float32 sums of up to 10^4 products in another order differ by some 1e-6 to 1e-5;
a wrong layer, weight or pixel differs by 1e-2 or more."""

INT8_SCORE_MEAN = {"pictures": 0.02, "blends": 0.05, "noise": 0.02, "constants": 0.15}
"""Mean |Δ positive score|, 0..1. For images it is what export itself enforces on validation patients. Flat fields
are no tissue: activations clip at ranges measured on tissue. Measured on idc-patch: constants .09, blends .023."""

INT8_SCORE_MAX = {"pictures": 0.25, "blends": 0.5, "noise": 0.25, "constants": 0.5}
"""Of a single one. Near the cut-off a score moves a quarter as fast as the logit: one unit of logit, some
5 % of an int8 output's range. Measured on idc-patch: .34 for constants, .39 for blends."""


@dataclass(frozen=True)
class Case:
    """A bundle, the images, and four sets of tensors with the Keras model's logits for each."""

    bundle: Bundle
    files: tuple[Path, ...]
    tensors: dict[str, Floats]
    logits: dict[str, Floats]


def _as_published(path: Path) -> Floats:
    """System 4's own stack, call by call: BGR, 50x50, sharpened as uint8, divided by 255."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    if image.shape[:2] != (50, 50):
        image = cv2.resize(image, (50, 50), interpolation=cv2.INTER_LINEAR_EXACT)
    image = cv2.filter2D(image, -1, np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]]))
    return np.asarray(image / 255.0, dtype=np.float32)


def _constants() -> Floats:
    """256 tensors, each of one value: 0/255, 1/255 … 255/255, which are the 256 steps of the int8 input."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    return np.ascontiguousarray(np.broadcast_to(levels[:, None, None, None], (256, 50, 50, 3)))


def _case(bundle: Bundle, model: Path, files: list[Path]) -> Case:
    network = keras.models.load_model(model, compile=False)
    to_logits = keras.Model(network.inputs, network.get_layer("logits").output)
    images, constants = np.stack([_as_published(path) for path in files]), _constants()
    tensors = {
        "pictures": images,
        "noise": np.random.default_rng(0).random((64, 50, 50, 3), dtype=np.float32),
        "constants": constants,
        "blends": (images[np.arange(256) % len(images)] + constants) / np.float32(2),
    }
    return Case(bundle, tuple(files), tensors, {k: to_logits.predict(v, verbose=0) for k, v in tensors.items()})


@pytest.fixture(scope="module")
def phantom_case(phantom_bundle: Path, phantom_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    root = tmp_path_factory.mktemp("unseen")
    write(UNSEEN, root)
    return _case(find(phantom_bundle), phantom_artifact / "model.keras", sorted(root.rglob("*.png")))


@pytest.fixture(scope="module")
def published_case(request: pytest.FixtureRequest) -> Case:
    artifact = Artifact(ARTIFACT)
    if not artifact.model_path.is_file() or not BUNDLE.is_dir():
        pytest.skip(f"{artifact.folder} or its bundle is not in this checkout")
    shared_idc: Path = request.getfixturevalue("shared_idc")  # unpacked only where there is a model for it
    held_out = select(idc.load(shared_idc).samples, artifact.split(), Part.TEST)
    paths = [sample.path for sample in held_out[:: max(1, len(held_out) // PUBLISHED_IMAGES)]]
    files = [path for path in paths if min(cv2.imread(str(path)).shape[:2]) >= artifact.spec().min_side_px]
    return _case(find(BUNDLE), artifact.model_path, files)


@pytest.fixture(params=["phantom", pytest.param("published", marks=pytest.mark.shared)])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(f"{request.param}_case")
    return found


def _runs(case: Case, precision: Precision) -> dict[str, Callable[[Floats], Floats]]:
    """Each file of that precision on each runtime that is installed: name → tensors → logits."""
    runs = {}
    for runtime, form in FORMAT.items():
        entry = case.bundle.model(form, precision)
        assert entry is not None, f"no {precision.value} {form.value} file"
        if installed(runtime):
            runs[f"{entry.name} on {runtime.value}"] = open_model(case.bundle.content(entry), runtime).run
    assert {Runtime.LITERT.value, Runtime.ONNXRUNTIME.value} <= {name.split()[-1] for name in runs}
    return runs


def test_a_image_becomes_the_tensor_that_the_published_program_made_of_it(case: Case) -> None:
    steps = case.bundle.manifest.spec.steps
    worst = max(
        (float(np.abs(preprocess(read(path), steps) - tensor).max()), path.name)
        for path, tensor in zip(case.files, case.tensors["pictures"], strict=True)
    )
    assert worst[0] <= 6e-8, f"{worst[1]}: {worst[0]}"  # one rounding of a float32 below 1: dividing as float64 or not


@pytest.mark.parametrize("which", SETS)
def test_a_float32_file_gives_the_keras_models_logits(case: Case, which: str) -> None:
    reference = case.logits[which]
    for name, run in _runs(case, Precision.FLOAT32).items():
        relative = np.abs(run(case.tensors[which]) - reference) / np.maximum(1, np.abs(reference))
        worst = int(relative.max(axis=1).argmax())
        print(f"{name}, {which}: {relative.max():.3g}")
        assert relative.max() <= FLOAT32_LOGIT, f"{name}, {which} {worst}: {relative.max():.3g} off {reference[worst]}"


@pytest.mark.parametrize("which", SETS)
def test_an_int8_file_gives_the_keras_models_scores(case: Case, which: str) -> None:
    spec = case.bundle.manifest.spec
    expected = positive_scores(case.logits[which], spec)
    for name, run in _runs(case, Precision.INT8).items():
        found = run(case.tensors[which])
        assert found.shape == case.logits[which].shape
        assert np.isfinite(found).all(), f"{name}: {(~np.isfinite(found)).sum()} logits are not finite"
        off = np.abs(positive_scores(found, spec) - expected)
        worst = int(off.argmax())
        line = (
            f"{name}, {which}: mean {off.mean():.5f}, worst {off[worst]:.4f} at {worst} (Keras {expected[worst]:.4f})"
        )
        print(line)
        assert off.mean() <= INT8_SCORE_MEAN[which], line
        assert off.max() <= INT8_SCORE_MAX[which], line


def _levels_tflite(model: bytes, tensors: Floats) -> npt.NDArray[np.float64]:
    from ai_edge_litert.interpreter import Interpreter

    scale, zero_point = Interpreter(model_content=model).get_input_details()[0]["quantization"]
    return np.clip(np.rint(tensors / np.float32(scale)) + zero_point, -128, 127)


def _levels_onnx(model: bytes, tensors: Floats) -> npt.NDArray[np.float64]:
    import onnx

    graph = onnx.load_from_string(model).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    name = graph.input[0].name
    while (first := next(node for node in graph.node if name in node.input)).op_type != "QuantizeLinear":
        assert first.op_type in ("Transpose", "Reshape"), f"{first.op_type} changes values before they are quantised"
        name = first.output[0]
    scale, zero_point = (values[name] for name in first.input[1:])
    return np.clip(np.rint(tensors / scale) + float(zero_point), 0, 255)


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("which", ["constants", "pictures"])
def test_the_sets_reach_every_level_of_the_int8_input(case: Case, which: str, form: Format) -> None:
    entry = case.bundle.model(form, Precision.INT8)
    assert entry is not None
    levels = _levels_tflite if form is Format.TFLITE else _levels_onnx
    found = np.unique(levels(case.bundle.content(entry), case.tensors[which]))
    assert len(found) == 256, f"{entry.name}: {which} reach {len(found)} of 256 levels"
