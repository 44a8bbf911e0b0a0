"""A fit on random crops of drawn ultrasound images: one output is saved, and an interrupted fit is continued."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import training.fitting.fit
from edge_runtime.preprocessing.steps import Colour, Letterbox, Scale
from tests import ultrasound_sites
from tests.integration.training.fitting.fits import assert_same_history, assert_same_weights, history
from training.artifact import Artifact
from training.data.batches import DealEpoch
from training.data.splits import SplitPlan
from training.errors import ArtifactError
from training.fitting.fit import fit
from training.networks.backbones import MobileNet
from training.networks.lesion_attention import LesionAttention
from training.recipes.breast_us import BREAST_US, BREAST_US_LESION, letterboxed
from training.recipes.recipe import Recipe

SIDE_PX, EPOCHS = 32, 2


def tiny(recipe: Recipe) -> Recipe:
    """The recipe with small crops, few of them, two epochs and a network of 2×2 cells."""
    assert recipe.crops is not None
    network = LesionAttention(MobileNet(side_px=SIDE_PX, channels=1, taps=(11,), fixed=3), len(recipe.spec.labels))
    first, scale = recipe.spec.steps[0], recipe.spec.steps[-1]
    assert isinstance(first, Colour)
    assert isinstance(scale, Scale)
    return replace(
        recipe,
        spec=replace(recipe.spec, steps=(first, *letterboxed(SIDE_PX), scale)),
        network=network.build,
        plan=replace(recipe.plan, epochs=EPOCHS, batch=8),
        crops=replace(recipe.crops, epoch=16),
        split=SplitPlan(validation=0.25, test=0.25, seed=20),
    )


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ultrasound_sites.write_sites(tmp_path_factory.mktemp("sites"))


@pytest.fixture(autouse=True)
def _without_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.fitting.fit, "compare", lambda *_: [])  # takes longer than the fit


@pytest.fixture(scope="module")
def straight(sites: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A fit without interruption."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.fitting.fit, "compare", lambda *_: [])
        return fit(tiny(BREAST_US), sites, tmp_path_factory.mktemp("fit") / "straight")


def test_a_fit_saves_a_network_with_one_output(straight: Artifact) -> None:
    model = keras.models.load_model(straight.model_path, compile=False)
    assert len(model.outputs) == 1
    assert model.output_shape == (None, 3)
    assert model.input_shape == (None, SIDE_PX, SIDE_PX, 1)
    scores = model.predict(np.zeros((2, SIDE_PX, SIDE_PX, 1), np.float32), verbose=0)
    assert scores.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)
    assert any(isinstance(step, Letterbox) for step in straight.spec().steps)
    assert straight.measured().training.epochs == EPOCHS
    rows = history(straight.folder)
    assert len(rows) == EPOCHS
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert not straight.checkpoint_path.exists()


def test_marked_lesions_are_fitted_alike(sites: Path, tmp_path: Path) -> None:
    done = fit(tiny(BREAST_US_LESION), sites, tmp_path / "a", epochs=1)
    assert keras.models.load_model(done.model_path, compile=False).output_shape == (None, 2)


@pytest.fixture(scope="module")
def cut(sites: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit that was interrupted before its second epoch."""
    out, begin = tmp_path_factory.mktemp("fit") / "cut", DealEpoch.on_epoch_begin

    def interrupted(self: DealEpoch, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DealEpoch, "on_epoch_begin", interrupted)
        fit(tiny(BREAST_US), sites, out)
    return out


def test_an_interrupted_fit_is_continued_to_the_same_weights(
    cut: Path, sites: Path, straight: Artifact, tmp_path: Path
) -> None:
    assert len(history(cut)) == 1
    done = fit(tiny(BREAST_US), sites, shutil.copytree(cut, tmp_path / "cut"), resume=True)
    assert_same_history(done.folder, straight.folder)
    models = [keras.models.load_model(each.model_path, compile=False) for each in (done, straight)]
    assert_same_weights(*models)


def test_a_fit_with_other_crops_is_not_continued(cut: Path, sites: Path) -> None:
    recipe = tiny(BREAST_US)
    assert recipe.crops is not None
    other = replace(recipe, crops=replace(recipe.crops, normal=1.0))
    with pytest.raises(ArtifactError, match=r"other plan: found .*normal=0\.5.* expected .*normal=1\.0"):
        fit(other, sites, cut, resume=True)
