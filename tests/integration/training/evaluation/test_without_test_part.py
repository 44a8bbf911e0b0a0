"""A model without test patients has the figures of its recipe's cross-validation, and says whose they are."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import training.experiments.fold
import training.fitting.fit
from edge_runtime.bundle.bundle import find
from export.model_card import model_card
from tests.integration.training.fitting.fits import PHANTOM
from training.artifact import Artifact
from training.cli.decide import decide as command
from training.data.datasets import idc
from training.data.splits import Part, SplitPlan
from training.errors import ArtifactError, DatasetError
from training.evaluation.artifact_runner import OpenArtifact
from training.experiments.cross_validated_figures import cross_validated_figures
from training.experiments.cross_validation import crossvalidate
from training.fitting.fit import fit
from training.metrics import evaluation

WHOLE = replace(PHANTOM, split=SplitPlan(validation=0.2, test=0.0, seed=1))


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> object:
    """Intervals are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "RESAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def fitted(phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return fit(WHOLE, phantom_data, tmp_path_factory.mktemp("whole") / "a", epochs=1)


@pytest.fixture(scope="module")
def crossed(phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation whose networks keep their first weights."""

    def untrained(*_: object, history: Path, **__: object) -> object:
        history.write_text("epoch,loss\n0,1\n", encoding="utf-8")
        return PHANTOM.network(None)

    out = tmp_path_factory.mktemp("crossed") / "cv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.experiments.fold, "train_network", untrained)
        crossvalidate(PHANTOM, phantom_data, out, folds=4)
    return out


def test_a_fit_without_a_test_part_fits_on_more_and_is_measured_on_validation_alone(
    fitted: Artifact, phantom_data: Path
) -> None:
    split, measured = fitted.split(), fitted.measured()
    assert set(split.values()) == {Part.TRAIN, Part.VALIDATION}
    assert [(e.part, e.subject) for e in measured.evaluations] == [("validation", "keras"), ("validation", "baseline")]
    assert measured.training.split.endswith("20% validation, no test")
    assert "test" not in measured.training.images
    opened = OpenArtifact(fitted, phantom_data)
    with pytest.raises(DatasetError, match=r"phantom-patch 1\.0\.0: found no test patients, .*use --part validation"):
        opened.samples("test")


def test_decide_adds_the_figures_of_cross_validation_under_the_new_policy(
    fitted: Artifact, crossed: Path, phantom_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "decided"
    arguments = [str(fitted.folder), "--data", str(phantom_data), "--out", str(out), "--youden"]
    done = CliRunner().invoke(command, [*arguments, "--cross-validation", str(crossed)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    measured = Artifact(out).measured()
    assert [(e.part, e.subject) for e in measured.evaluations] == [
        ("validation", "keras"),
        ("validation", "baseline"),
        ("cross-validation", "keras"),
        ("cross-validation", "baseline"),
    ]
    assert measured.training.folds == 4
    found = measured.evaluations[2]
    assert found.images == len(idc.load(phantom_data).samples) and found.groups == 20
    again = cross_validated_figures(crossed, PHANTOM, Artifact(out).spec(), idc.load(phantom_data))
    assert again.evaluations == measured.evaluations[2:]
    usual = cross_validated_figures(crossed, PHANTOM, PHANTOM.spec, idc.load(phantom_data)).evaluations[0]
    assert usual.figure("auroc").value == found.figure("auroc").value
    assert usual.figure("sensitivity") != found.figure("sensitivity"), "the figures are at the fitted cut-off"
    assert "keras on validation" in done.stdout and "keras on cross-validation" in done.stdout
    assert "calibration error on validation" in done.stdout


def test_another_cross_validation_is_refused(crossed: Path, phantom_data: Path, tmp_path: Path) -> None:
    dataset = idc.load(phantom_data)
    with pytest.raises(ArtifactError, match=r"metrics\.json: missing, expected a finished cross-validation"):
        cross_validated_figures(tmp_path, PHANTOM, PHANTOM.spec, dataset)
    fewer = replace(dataset, samples=dataset.samples[1:])
    with pytest.raises(ArtifactError, match="found a cross-validation of phantom-patch on other images, labels or"):
        cross_validated_figures(crossed, PHANTOM, PHANTOM.spec, fewer)
    other = replace(PHANTOM.spec, steps=PHANTOM.spec.steps[:2])
    with pytest.raises(ArtifactError, match="on other images, labels or preprocessing"):
        cross_validated_figures(crossed, PHANTOM, other, dataset)


def test_the_card_says_whose_the_figures_are() -> None:
    crossed = find("idc-patch-compact").manifest
    assert crossed.training is not None
    card = model_card(replace(crossed, training=replace(crossed.training, folds=10)))
    assert "This model has no test patients: it was fitted on all but the validation patients." in card
    assert "not of this model but of 10 networks that the same recipe fitted on fewer patients" in card
    assert "of the positive images of cross-validation are called positive" in card
    assert "test patients" not in card.replace("has no test patients", "")
    assert "The figures of cross-validation are of" in card
    assert "cross-validation" not in model_card(find("mias-region").manifest)
