"""A distilled network learns from the mean of its teachers, on the images that it sees itself."""

import csv
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import training.fitting.fit
from edge_runtime.bundle.manifest import TeacherModel
from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale
from tests.integration.training.fitting.fits import PHANTOM, assert_same_history, assert_same_weights
from training.artifact import Artifact
from training.cli import main
from training.data.batches import Batches
from training.data.splits import Part, write_split
from training.data.tensors import Tensors
from training.errors import ArtifactError, RecipeError
from training.fitting.distillation import DistillationLoss, LabelAccuracy
from training.fitting.fingerprint import fitted_on
from training.fitting.fit import fit
from training.fitting.teachers import LoadedTeacher, TeacherEnsemble, converted
from training.recipes import RECIPES, find_recipe
from training.recipes.recipe import Teacher

STUDENT = replace(PHANTOM, teacher=Teacher(("phantom-patch",), weight=0.7, temperature=2.0))
ORDERS = {ColourOrder.RGB: "rgb", ColourOrder.BGR: "bgr"}


def _spec(side: int, order: ColourOrder = ColourOrder.RGB, scale: Scale | None = None) -> ModelSpec:
    resize = Resize(side, side, Interpolation.LINEAR_EXACT, PixelType.UINT8)
    steps = (Colour(order), resize, scale or Scale(127.5, -1.0))
    return replace(find_recipe("idc-patch-compact").spec, steps=steps)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_loss_is_hintons_computed_from_the_logits(outputs: int, temperature: float) -> None:
    rng = np.random.default_rng(3)
    z, teacher = rng.normal(0, 3, (16, outputs)), rng.normal(0, 3, (16, outputs))
    if outputs == 1:
        labels = rng.integers(0, 2, (16, 1)).astype(float)

        def squash(logits: np.ndarray) -> np.ndarray:
            return _sigmoid(logits)

        def entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
            return np.asarray(-(p * np.log(q) + (1 - p) * np.log(1 - q)).mean(axis=1))
    else:
        labels = np.eye(outputs)[rng.integers(0, outputs, 16)]

        def squash(logits: np.ndarray) -> np.ndarray:
            return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))

        def entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
            return np.asarray(-(p * np.log(q)).sum(axis=1))

    taught = squash(teacher / temperature)
    hard, soft = entropy(labels, squash(z)), entropy(taught, squash(z / temperature))
    expected = 0.3 * hard + 0.7 * temperature**2 * soft
    loss = DistillationLoss(binary=outputs == 1, weight=0.7, temperature=temperature)
    scores = squash(z).astype(np.float32)
    both = np.concatenate([labels, taught], axis=1).astype(np.float32)
    assert float(loss(both, scores)) == pytest.approx(float(expected.mean()), rel=1e-4)
    alone = float(loss(labels.astype(np.float32), scores))
    assert alone == pytest.approx(float(hard.mean()), rel=1e-4), "validation is measured on labels alone"
    again = DistillationLoss.from_config(loss.get_config())
    assert float(again(both, scores)) == float(loss(both, scores))


def test_accuracy_is_that_of_the_labels() -> None:
    metric = LabelAccuracy()
    scores = np.array([[0.9], [0.2], [0.6], [0.4]], dtype=np.float32)
    metric.update_state(np.array([[1, 0.1], [0, 0.9], [0, 0.5], [0, 0.5]], dtype=np.float32), scores)
    assert float(metric.result()) == 0.75
    assert metric.name == "accuracy"


@pytest.mark.parametrize("order", [ColourOrder.RGB, ColourOrder.BGR])
@pytest.mark.parametrize("side", [50, 100, 128])
def test_a_teacher_gets_about_the_tensor_of_its_own_preprocessing(side: int, order: ColourOrder) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    image = DecodedImage("a", pixels, ColourOrder.BGR)
    student, teacher = _spec(50), _spec(side, order, Scale(255.0, 0.0))
    own = preprocess(image, teacher.steps)
    found = converted(preprocess(image, student.steps)[np.newaxis], student, teacher)
    worst = float(np.abs(found[0] - own).max()) * 255
    print(f"{side} px, {ORDERS[order]}: at most {worst:.2f} levels from the teacher's own preprocessing")
    assert worst <= 0.6, "LINEAR_EXACT rounds to whole levels, the conversion does not"
    assert found.dtype == np.float32


def _constant(spec: ModelSpec, logit: float) -> LoadedTeacher:
    inputs = keras.Input((*spec.size_px[::-1], 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    bias = keras.initializers.Constant(logit)
    logits = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer=bias)(x)
    return LoadedTeacher(spec, keras.Model(inputs, logits), TeacherModel("a", "1.0.0", "0" * 64))


def test_teachers_are_averaged_as_probabilities_at_the_temperature() -> None:
    student = _spec(50)
    warm = replace(_spec(100), policy=replace(student.policy, temperature=1.5))
    ensemble = TeacherEnsemble([_constant(student, 4.0), _constant(warm, -3.0)], student, 2.0)
    found = ensemble.probabilities(np.zeros((3, 50, 50, 3), dtype=np.float32))
    expected = (_sigmoid(np.array(4.0 / 2)) + _sigmoid(np.array(-3.0 / 3))) / 2
    np.testing.assert_allclose(found, np.full((3, 1), expected), atol=1e-6)
    batches = Batches(
        np.zeros((5, 50, 50, 3), dtype=np.float32),
        np.ones((5, 1), dtype=np.float32),
        batch=3,
        seed=1,
        augmentation=None,
        teach=ensemble.probabilities,
    )
    images, targets = batches[1]
    assert images.shape == (2, 50, 50, 3)
    np.testing.assert_allclose(targets, np.full((2, 2), [1.0, expected]), atol=1e-6)


@pytest.mark.parametrize(
    ("teacher", "named"),
    [
        (replace(_spec(50), labels=("benign", "other"), positive=("other",)), "labels"),
        (replace(_spec(50), head=Head.SOFTMAX), "head"),
        (_spec(50, ColourOrder.GREY), "channels"),
        (find_recipe("idc-patch").spec, "head, steps"),
    ],
)
def test_a_teacher_of_other_labels_head_or_steps_is_refused(teacher: ModelSpec, named: str) -> None:
    with pytest.raises(RecipeError, match=f"found other {named} than in idc-patch-compact"):
        TeacherEnsemble([_constant(teacher, 0.0)], _spec(50), 1.0)


@pytest.fixture(scope="module")
def distilled(phantom_data: Path, phantom_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    out = tmp_path_factory.mktemp("distilled") / "a"
    return fit(STUDENT, phantom_data, out, epochs=3, teachers=[phantom_artifact, phantom_artifact])


def test_a_distilled_artifact_records_its_teachers_and_is_measured_on_labels(
    distilled: Artifact, phantom_artifact: Path
) -> None:
    found = distilled.measured().training.distillation
    assert found is not None
    digest = hashlib.sha256((phantom_artifact / "model.keras").read_bytes()).hexdigest()
    assert (found.weight, found.temperature) == (0.7, 2.0)
    assert found.teachers == (TeacherModel("phantom-patch", "1.0.0", digest),) * 2
    with (distilled.folder / "history.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert set(rows[0]) == {"epoch", "accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"}
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert all(0.0 < float(row["accuracy"]) <= 1.0 for row in rows), "targets of teachers are no labels"
    keras.models.load_model(distilled.model_path, compile=False)


def test_an_interrupted_distillation_is_continued_with_the_same_teachers_alone(
    distilled: Artifact, phantom_data: Path, phantom_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.fitting.fit, "compare", lambda *_: [])
    taught, out = [phantom_artifact, phantom_artifact], tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(training.fitting.fit, "logits_model", lambda _: (_ for _ in ()).throw(RuntimeError("the cat")))
        with pytest.raises(RuntimeError, match="the cat"):
            fit(STUDENT, phantom_data, out, epochs=2, teachers=taught)
    with pytest.raises(ArtifactError, match=r"the fit began with other plan: found .*taught by phantom-patch"):
        fit(STUDENT, phantom_data, out, epochs=3, resume=True, teachers=taught[:1])
    again = fit(STUDENT, phantom_data, out, epochs=3, resume=True, teachers=taught)
    assert_same_history(again.folder, distilled.folder)
    models = [keras.models.load_model(a.model_path, compile=False) for a in (again, distilled)]
    assert_same_weights(*models)


def test_teachers_and_recipe_must_fit_together(phantom_data: Path, phantom_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"phantom-patch is distilled: found no --teacher, expected an artifact of"):
        fit(STUDENT, phantom_data, tmp_path / "a")
    other = replace(STUDENT, teacher=Teacher(("idc-patch-large",)))
    with pytest.raises(RecipeError, match=r"found an artifact of phantom-patch, expected a teacher idc-patch-large"):
        fit(other, phantom_data, tmp_path / "b", teachers=[phantom_artifact])
    arguments = ["fit", "phantom-patch", "--data", str(phantom_data), "--out", str(tmp_path / "c")]
    result = CliRunner().invoke(main, [*arguments, "--teacher", str(phantom_artifact)])
    assert result.exit_code == 1
    assert "phantom-patch is fitted on labels alone and takes no --teacher. Remove the option." in result.stderr


def test_a_teacher_fitted_on_patients_that_the_student_is_measured_on_is_refused(
    phantom_data: Path, phantom_artifact: Path, tmp_path: Path
) -> None:
    leaky = shutil.copytree(phantom_artifact, tmp_path / "teacher")
    split = dict(Artifact(leaky).split())
    moved = next(group for group, part in split.items() if part is Part.TEST)
    write_split(leaky / "split.csv", split | {moved: Part.TRAIN})
    with pytest.raises(RecipeError, match=rf"a teacher fitted on 1 patients that .* the first {moved}, expected none"):
        fit(STUDENT, phantom_data, tmp_path / "a", teachers=[leaky])


def test_fingerprints_of_other_recipes_are_those_of_before() -> None:
    """The text is stored in checkpoints; new fields of a plan must not appear in it before a recipe uses them."""
    rows = np.zeros(1, dtype=np.int64)
    one = Tensors(np.zeros((1, 4, 4, 3), np.float32), rows, np.array(["a"]), np.zeros((1, 6)), (), ())
    assert fitted_on(RECIPES["phantom-patch"], one, one).plan == (
        "TrainingPlan(epochs=30, batch=32, optimiser=Adam(learning_rate=0.003), loss=<Loss.BINARY: "
        "'binary_crossentropy'>, seed=1, balance=True, patient_cap=None, stop_patience=10, keep_best=True, "
        "plateau=Plateau(factor=0.5, patience=3, min_rate=1e-05), cosine=None, weigh_labels=False, "
        "int8_grid=False), augmentation None"
    )
    assert fitted_on(RECIPES["busi-compact"], one, one).plan.endswith(
        "augmentation Augmentation(flips=True, quarter_turns=False, rotation_deg=15.0, zoom=0.15, shift=0.08, "
        "photometric=(GainAndSpeckle(gain=0.2, gamma=0.4, speckle=0.1), Callipers(share=0.4)), kept=0.25, "
        "black=-1.0, white=1.0)"
    )
