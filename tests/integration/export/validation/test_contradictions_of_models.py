"""Mistakes made with fitted networks on images of their kind: each is caught with its cause, and no other is named.

``python -m tests.contradictions DATA`` does the same for all recipes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.bundle.spec import ModelSpec
from export.validation import contradiction
from tests.contradictions import MISTAKES, MODELS, SETS, chosen, colours, said, with_fitted_head
from training.artifact import Artifact
from training.data.datasets.dataset import Sample
from training.data.splits import Part, select
from training.recipes import RECIPES

CAUSES = {
    "labels reversed": "they are probably in the wrong order",
    "scaled twice": "it was fitted on ",
    "not scaled": "it was fitted on ",
    "colour order": "it was fitted on images in the order ",
}


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Any:
    """Loading TensorFlow in a process for each of these tests would take minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contradiction, "in_own_process", lambda job, *args: job(*args))
        yield


def _check(model: Path, images: list[Sample], own: ModelSpec, mistake: str) -> None:
    text = said(model, images, own, MISTAKES[mistake](own))
    print(f"{model.parent.name}, {mistake}, {len(images)} images: {text or 'nothing'}")
    if mistake == "none":
        assert text == ""
    else:
        assert CAUSES[mistake] in text, "on 100 regions the cause of mias-region is named as not shown"
        assert "--insist" in text


@pytest.fixture(scope="module")
def phantoms(phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sample], ModelSpec]:
    """A network whose last layer is fitted on phantoms, the phantoms, and its spec."""
    recipe = RECIPES["phantom-patch"]
    images = chosen(list(recipe.source.load(phantom_data).samples), 200, recipe.spec)
    model = with_fitted_head(recipe, images, tmp_path_factory.mktemp("phantoms") / "model.keras")
    return model, images, replace(recipe.spec, policy=DecisionPolicy(0.5, 0.0))


@pytest.mark.parametrize("mistake", [mistake for mistake in MISTAKES if mistake != "colour order"])
def test_mistakes_with_a_network_of_phantoms(phantoms: tuple[Path, list[Sample], ModelSpec], mistake: str) -> None:
    """The network looks at nuclei, and is as right in the other colour order."""
    _check(*phantoms, mistake)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        *(("idc-patch-compact", mistake) for mistake in ("none", "labels reversed", "scaled twice", "colour order")),
        *(("idc-patch", mistake) for mistake in ("none", "labels reversed", "scaled twice", "colour order")),
        *(("mias-region", mistake) for mistake in ("none", "labels reversed", "scaled twice")),
    ],
)
def test_mistakes_with_models_of_this_project(name: str, mistake: str, published: Callable[[str], Path]) -> None:
    artifact = Artifact(MODELS / name)
    samples = select(RECIPES[name].source.load(published(SETS[name])).samples, artifact.split(), Part.VALIDATION)
    _check(artifact.model_path, chosen(list(samples), 400, artifact.spec()), artifact.spec(), mistake)


@pytest.mark.shared
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_with_a_network_of_tissue(tissue: tuple[Path, list[Sample], ModelSpec], mistake: str) -> None:
    _check(*tissue, mistake)


@pytest.fixture(scope="module")
def tissue(
    published: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Sample], ModelSpec]:
    """A network of colours whose last layer is fitted on patches of tissue, the patches, and its spec."""
    recipe = RECIPES["phantom-patch"]
    images = chosen(list(recipe.source.load(published("idc")).samples), 400, recipe.spec)
    model = with_fitted_head(recipe, images, tmp_path_factory.mktemp("tissue") / "model.keras", colours)
    return model, images, replace(recipe.spec, policy=DecisionPolicy(0.5, 0.0))
