"""Decisions of the int8 files, the whole way from a PNG, against decisions computed from the Keras model.

The images are of patients that neither the weights, the int8 ranges nor the guard band have seen. The Keras
side shares no code with the runtime: OpenCV calls as the published program makes them, ``predict``, and the
policy in three lines.
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from edge_runtime.bundle.bundle import Bundle, find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT, installed, open_model
from edge_runtime.predictor import Predictor
from export.validation.parity import guard_band
from tests.places import ROOT
from tests.system_4 import ARTIFACT, BUNDLE
from training.artifact import Artifact
from training.data.datasets import idc
from training.data.datasets.phantoms import PhantomSet, write
from training.data.splits import Part, select

UNSEEN = PhantomSet(patients=32, patches_per_patient=16, seed=78)  # the fitted phantoms have seed 0
PUBLISHED_IMAGES = 1000
RUNTIMES = [r for r in (Runtime.LITERT, Runtime.TFLITE, Runtime.ONNXRUNTIME) if installed(r)]
KERNEL = np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]])

RAW_FLIPS_PER_1000 = 25.0
"""Before the guard band: the tolerance that export itself enforces on validation patients."""

FLIPS_PER_1000 = {"published": 2.0, "phantom": RAW_FLIPS_PER_1000}
"""After it. The band is the widest margin at which int8 and float32 disagreed on n validation images; by the rule
of three a new image escapes it with a probability of at most 3/n. The phantom bundle has some 40 such images,
from which nothing below the raw tolerance follows: there, a band fitted on enough images is tested below."""


@dataclass(frozen=True)
class Case:
    """A bundle, held-out images, their tensors, and the decision that the Keras model's scores make of each."""

    name: str
    bundle: Bundle
    files: tuple[Path, ...]
    tensors: np.ndarray
    expected: tuple[Decision, ...]


def _policy(scores: np.ndarray, policy: DecisionPolicy) -> Decision:
    """Two sigmoids: refer if the larger is under the floor, else the share of the malignant one against the cut-off."""
    if scores.max() < policy.confidence_floor:
        return Decision.REFER
    return Decision.POSITIVE if scores[1] >= policy.cutoff * scores.sum() else Decision.NEGATIVE


def _as_published(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    if image.shape[:2] != (50, 50):
        image = cv2.resize(image, (50, 50), interpolation=cv2.INTER_LINEAR_EXACT)
    return np.asarray(cv2.filter2D(image, -1, KERNEL) / 255.0, dtype=np.float32)


def _case(name: str, bundle: Bundle, model: Path, files: list[Path]) -> Case:
    network = keras.models.load_model(model, compile=False)
    tensors = np.stack([_as_published(path) for path in files])
    logits = keras.Model(network.inputs, network.get_layer("logits").output).predict(tensors, verbose=0)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    policy = bundle.manifest.spec.policy
    return Case(name, bundle, tuple(files), tensors, tuple(_policy(row, policy) for row in scores))


@pytest.fixture(scope="module")
def phantom_case(phantom_bundle: Path, phantom_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    root = tmp_path_factory.mktemp("unseen")
    write(UNSEEN, root)
    return _case("phantom", find(phantom_bundle), phantom_artifact / "model.keras", sorted(root.rglob("*.png")))


@pytest.fixture(scope="module")
def published_case(request: pytest.FixtureRequest) -> Case:
    artifact = Artifact(ARTIFACT)
    if not artifact.model_path.is_file() or not BUNDLE.is_dir():
        pytest.skip(f"{artifact.folder} or its bundle is not in this checkout")
    shared_idc: Path = request.getfixturevalue("shared_idc")  # unpacked only where there is a model for it
    held_out = select(idc.load(shared_idc).samples, artifact.split(), Part.TEST)
    paths = [sample.path for sample in held_out[:: max(1, len(held_out) // PUBLISHED_IMAGES)]]
    files = [path for path in paths if min(cv2.imread(str(path)).shape[:2]) >= artifact.spec().min_side_px]
    assert len(files) >= 500, f"{len(files)} held-out images"
    return _case("published", find(BUNDLE), artifact.model_path, files)


@pytest.fixture(params=["phantom", pytest.param("published", marks=pytest.mark.shared)])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(f"{request.param}_case")
    return found


def _flips(case: Case, runtime: Runtime, guard_band: float | None = None) -> tuple[list[str], int]:
    """Return one line for each decision that differs from Keras's, and how many images float32 decided."""
    manifest = case.bundle.manifest
    band = manifest.guard_band if guard_band is None else guard_band
    bundle = replace(case.bundle, manifest=replace(manifest, guard_band=band))
    lines, reruns = [], 0
    with Predictor(bundle, runtime, Precision.INT8, 1) as predictor:
        for path, expected in zip(case.files, case.expected, strict=True):
            found = predictor.predict(path).verdict
            reruns += found.reason is Reason.PRECISION_RERUN
            if found.decision is not expected:
                scores = f"score {found.score:.4f}, confidence {found.confidence:.4f}"
                lines.append(f"{path.name}: {found.decision.value} ({scores}), Keras {expected.value}")
    return lines, reruns


def test_the_held_out_images_lead_to_all_three_decisions(case: Case) -> None:
    assert set(case.expected) == set(Decision)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_int8_alone_flips_few_decisions(case: Case, runtime: Runtime) -> None:
    flips, reruns = _flips(case, runtime, guard_band=0.0)
    rate = 1000 * len(flips) / len(case.files)
    report = "\n".join([f"{runtime.value}: {len(flips)} of {len(case.files)} ({rate:.1f} in 1000)", *flips])
    print(report)
    assert reruns == 0
    assert rate <= RAW_FLIPS_PER_1000, report


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_after_the_guard_band_hardly_any_decision_is_flipped(case: Case, runtime: Runtime) -> None:
    flips, reruns = _flips(case, runtime)
    share = f"{reruns} of {len(case.files)} decided by float32, guard band {case.bundle.manifest.guard_band}"
    report = "\n".join([f"{runtime.value}: {len(flips)} flips, {share}", *flips])
    print(report)
    assert 1000 * len(flips) / len(case.files) <= FLIPS_PER_1000[case.name], report
    before, _ = _flips(case, runtime, guard_band=0.0)
    assert set(flips) <= set(before), "the guard band flips decisions that int8 alone has right"
    assert reruns <= 0.25 * len(case.files), f"the int8 file decides too little: {share}"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_guard_band_fitted_on_half_of_the_patients_holds_on_the_others(case: Case, runtime: Runtime) -> None:
    half = np.array([int(path.parts[-3]) % 2 for path in case.files], dtype=bool)
    spec, logits = case.bundle.manifest.spec, {}
    for precision in (Precision.INT8, Precision.FLOAT32):
        entry = case.bundle.model(FORMAT[runtime], precision)
        assert entry is not None
        logits[precision] = open_model(case.bundle.content(entry), runtime).run(case.tensors[half])
    band = guard_band([(logits[Precision.INT8], logits[Precision.FLOAT32])], spec)
    rest = np.flatnonzero(~half)
    others = replace(case, files=tuple(case.files[i] for i in rest), expected=tuple(case.expected[i] for i in rest))
    before, _ = _flips(others, runtime, guard_band=0.0)
    flips, reruns = _flips(others, runtime, guard_band=band)
    share = f"{len(before)} flips of {len(rest)} before, {len(flips)} after, {reruns} reruns, band {band}"
    report = "\n".join([share, *flips])
    print(report)
    assert len(flips) <= max(1, len(before) // 3), report


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_guard_band_that_takes_every_image_flips_none(case: Case, runtime: Runtime) -> None:
    """The float32 file decides all; what remains would be a difference in reading, steps, policy or rerun."""
    files, expected = case.files[::4], case.expected[::4]
    flips, reruns = _flips(replace(case, files=files, expected=expected), runtime, guard_band=1.0)
    assert (flips, reruns) == ([], len(files))


@pytest.mark.shared
def test_the_published_int8_ranges_and_guard_band_come_from_other_patients_than_these(published_case: Case) -> None:
    artifact = Artifact(ARTIFACT)
    with (ROOT / "calibration_data" / "idc-patch" / "samples.csv").open(newline="") as lines:
        ranges = {row["name"].split("/")[0] for row in csv.DictReader(lines)}
    split, judged = artifact.split(), {path.parts[-3] for path in published_case.files}
    assert {split[patient] for patient in ranges} == {Part.TRAIN}
    assert {split[patient] for patient in judged} == {Part.TEST}
    assert "validation patients" in published_case.bundle.manifest.parity_source
