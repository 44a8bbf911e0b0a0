"""A bundle is measured as a device answers: the runtime's own decisions, counted; figures equal a count by hand."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from edge_runtime import Decision, Precision, Predictor, Reason, Runtime
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import ROUNDED
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.serialisation.records import from_dict
from training.artifact import Artifact
from training.cli import main
from training.data.datasets import idc
from training.data.splits import Part, select
from training.errors import ArtifactError, DatasetError
from training.evaluation.device import RERUN, logits_of
from training.evaluation.measure_bundle import BundleDocument, BundleRun, measure_bundle
from training.metrics import evaluation
from training.metrics.changes import DIFFER, changes
from training.metrics.scored import Scored
from training.recipes.idc_patch import SPEC

HEADS = {
    Head.SOFTMAX: replace(SPEC, labels=("a", "b", "c"), positive=("c",), head=Head.SOFTMAX),
    Head.SIGMOID: replace(SPEC, head=Head.SIGMOID),
    Head.INDEPENDENT_SIGMOIDS: replace(SPEC, head=Head.INDEPENDENT_SIGMOIDS),
}


Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(argument) for argument in arguments)])


@pytest.mark.parametrize("head", list(HEADS), ids=lambda head: head.value)
@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.sampled_from([1.0, 2.5]))
def test_scores_give_logits_that_give_the_same_scores(head: Head, row: list[float], temperature: float) -> None:
    spec = replace(HEADS[head], policy=DecisionPolicy(0.5, 0.8, temperature))
    logits = np.array([row[: spec.outputs]])
    scores = scores_of(logits, spec)
    again = logits_of(scores, spec)
    assert again.shape == logits.shape and np.isfinite(again).all()
    np.testing.assert_allclose(scores_of(again, spec), scores, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(positive_scores(again, spec), positive_scores(logits, spec), atol=1e-3)


@pytest.mark.parametrize("head", list(HEADS), ids=lambda head: head.value)
def test_scores_of_exactly_0_and_1_give_finite_logits(head: Head) -> None:
    spec = HEADS[head]
    scores = np.eye(len(spec.labels))
    assert np.isfinite(logits_of(scores, spec)).all()
    np.testing.assert_allclose(scores_of(logits_of(scores, spec), spec), scores, atol=1e-15)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FLOAT32], ids=lambda p: p.value)
@pytest.mark.parametrize("backend", [Runtime.LITERT, Runtime.ONNXRUNTIME], ids=lambda b: b.value)
def test_the_figures_equal_a_count_of_what_the_predictor_answers(
    precision: Precision,
    backend: Runtime,
    edited_bundle: Callable[[Change], Path],
    phantom_artifact: Path,
    phantom_data: Path,
) -> None:
    """The guard band is widened: phantoms are far from any threshold."""
    bundle = edited_bundle(lambda manifest: manifest.update(guard_band=0.2))
    device = BundleRun(find(bundle), backend, precision)
    found = measure_bundle(device, phantom_data, "test", artifact=Artifact(phantom_artifact)).document
    samples = select(idc.load(phantom_data).samples, Artifact(phantom_artifact).split(), Part.TEST)
    with Predictor.load(bundle, backend=backend, precision=precision) as predictor:
        answers = [predictor.predict(sample.path) for sample in samples]
    shares = {figure.name: figure.value for figure in found.shares}
    for decision in Decision:
        count = sum(a.verdict.decision is decision for a in answers)
        assert shares[f"decided {decision.value}"] == pytest.approx(count / len(answers), abs=5.1e-5), decision
    reasons = Counter(a.verdict.reason for a in answers)
    for reason in Reason:
        assert shares[f"for {reason.value}"] == pytest.approx(reasons[reason] / len(answers), abs=5.1e-5), reason
    reruns = sum(a.precision != precision.value for a in answers)
    assert shares[RERUN] == pytest.approx(reruns / len(answers), abs=5.1e-5)
    assert (reruns == 0) is (precision not in ROUNDED), reruns
    truth, score = [s.label for s in samples], [a.verdict.score for a in answers]
    measured = found.evaluations[0]
    assert measured.figure("auroc").value == pytest.approx(metrics.roc_auc_score(truth, score), abs=5.1e-5)
    oracle = metrics.accuracy_score(truth, [s >= device.bundle.manifest.spec.policy.cutoff for s in score])
    assert measured.figure("accuracy").value == pytest.approx(oracle, abs=5.1e-5)
    assert measured.figure("answered").value == pytest.approx(1 - shares["decided REFER"], abs=1.1e-4)
    form = "onnx" if backend is Runtime.ONNXRUNTIME else "tflite"
    assert measured.subject == f"model.{precision.value}.{form} on {backend.value}"
    assert [e.subject for e in found.evaluations] == [measured.subject, "keras"]


def test_the_float32_file_changes_nothing_against_keras(
    phantom_bundle: Path, phantom_artifact: Path, phantom_data: Path
) -> None:
    device = BundleRun(find(phantom_bundle), Runtime.LITERT, Precision.FLOAT32)
    found = measure_bundle(device, phantom_data, "all", artifact=Artifact(phantom_artifact)).document
    assert {figure.name for figure in found.changes} >= {"auroc", "accuracy", "answered", DIFFER}
    for figure in found.changes:
        assert abs(figure.value) <= 2e-3, figure


def _scored(flip: int = 0) -> Scored:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    logits = rng.normal(0, 2, (200, 2)) + 1.5 * np.eye(2)[labels]
    logits[:flip] = -logits[:flip]
    return Scored.of_logits(logits, labels, np.array([f"p{i % 10}" for i in range(200)]), SPEC)


def test_a_change_is_the_difference_of_the_two_figures_and_none_where_nothing_changed() -> None:
    assert {(f.value, f.low, f.high) for f in changes(_scored(), _scored(), SPEC)} == {(0.0, 0.0, 0.0)}
    ours, theirs = _scored(flip=40), _scored()
    found = {figure.name: figure.value for figure in changes(ours, theirs, SPEC)}
    areas = [metrics.roc_auc_score(s.labels, s.positive) for s in (ours, theirs)]
    assert found["auroc"] == pytest.approx(areas[0] - areas[1], abs=5.1e-5)
    right = [float(((s.positive >= 0.5) == (s.labels == 1)).mean()) for s in (ours, theirs)]
    assert found["accuracy"] == pytest.approx(right[0] - right[1], abs=5.1e-5)
    sides = [np.where(s.answered, 1 + (s.positive >= 0.5), 0) for s in (ours, theirs)]
    differ = np.mean(sides[0] != sides[1])
    assert differ > 0 and found[DIFFER] == pytest.approx(differ, abs=5.1e-5)


def test_changes_of_other_images_are_refused() -> None:
    with pytest.raises(DatasetError, match="expected the same images"):
        changes(_scored().take(np.arange(100)), _scored(), SPEC)


def test_a_bundle_needs_its_artifact_for_a_part_and_none_for_all(phantom_bundle: Path, phantom_data: Path) -> None:
    refused = _run(phantom_bundle, "--data", phantom_data)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "found no split" in refused.stderr and "--artifact DIR" in refused.stderr and "--part all" in refused.stderr
    done = _run(phantom_bundle, "--data", phantom_data, "--part", "all")
    assert done.exit_code == 0, done.output
    assert "on all: 320 images of 20 patients" in done.stdout
    for line in ("decided REFER", "for LOW_CONFIDENCE", RERUN, "expected calibration error", "sensitivity"):
        assert f"  {line} " in done.stdout, line
    assert "less its Keras model" not in done.stdout


def test_an_artifact_of_another_spec_is_refused(
    phantom_bundle: Path, phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    other = Artifact(tmp_path)
    spec = Artifact(phantom_artifact).spec()
    other.write_choices(replace(spec, version="9.9.9"), Artifact(phantom_artifact).split())
    with pytest.raises(ArtifactError, match=r"found the spec of phantom-patch 9\.9\.9"):
        measure_bundle(BundleRun(find(phantom_bundle)), phantom_data, "test", artifact=other)


def test_options_of_a_bundle_are_refused_for_an_artifact(phantom_artifact: Path, phantom_data: Path) -> None:
    result = _run(phantom_artifact, "--data", phantom_data, "--backend", "litert")
    assert result.exit_code == 2 and "--backend is for a bundle" in result.stderr


def test_the_page_and_the_json_hold_what_the_command_prints(
    phantom_bundle: Path, phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = _run(phantom_bundle, "--data", phantom_data, "--artifact", phantom_artifact, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    document = from_dict(BundleDocument, json.loads(result.stdout))
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == json.loads(result.stdout)
    html = (out / "report.html").read_text(encoding="utf-8")
    for figure in (*document.shares, *document.changes):
        assert f"{figure.value:.3f} <small>[{figure.low:.3f}, {figure.high:.3f}]" in html, figure
    for part in ("Decisions and their reasons", "Change against the Keras model", "Receiver operating", "--artifact"):
        assert part in html


def test_strict_refuses_a_image_that_the_runtime_refuses(
    phantom_bundle: Path, phantom_data: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(phantom_data, tmp_path / "data")
    broken = next(copy.rglob("*.png"))
    broken.write_bytes(b"no image")
    found = measure_bundle(BundleRun(find(phantom_bundle)), copy, "all")
    assert len(found.answers.refused) == 1 and found.document.evaluations[0].images == 319
    with pytest.raises(DatasetError, match="found 1 of 320 images that cannot be read"):
        measure_bundle(BundleRun(find(phantom_bundle)), copy, "all", strict=True)
