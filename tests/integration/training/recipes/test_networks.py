"""The networks, plans and contracts of the five systems are the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from training.networks.lesion_attention import classifier
from training.recipes import RECIPES
from training.recipes.recipe import Adam, Loss, Plateau, Sgd

PARAMETERS = {
    # (all, trainable); those of systems 3, 4 and 5 are published, the others follow from the layers by hand
    "density-malignancy-cnn": (1_794_168, 1_793_848),
    "density-malignancy-simple": (5_977_640, 5_977_640),
    "density-malignancy-alexnet": (62_386_352, 62_386_352),
    "density-malignancy-vgg16": (14_915_400, 14_915_400),
    "mias-abnormality": (117_505, 117_505),
    "idc-patch": (1_664_898, 1_663_042),
    "busi-densenet121": (68_750_339 + 7_037_504, 68_750_339),
}
SMALL = ("density-malignancy-cnn", "density-malignancy-simple", "density-malignancy-shufflenet", "mias-abnormality")


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_has_the_published_number_of_parameters(name: str) -> None:
    model = RECIPES[name].network(None)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert (model.count_params(), trainable) == PARAMETERS[name]


@pytest.mark.parametrize("name", RECIPES)
def test_a_network_takes_the_specs_tensor_and_ends_in_its_logits(name: str) -> None:
    recipe = RECIPES[name]
    model = recipe.network(None)
    width, height = recipe.spec.size_px
    assert model.input_shape == (None, height, width, recipe.spec.channels)
    assert model.get_layer("logits").output.shape == (None, recipe.spec.outputs)
    ends = model if recipe.crops is None else classifier(model)  # a network with a map of the lesion has three outputs
    assert ends.layers[-1].name == "scores"


@pytest.mark.parametrize("name", SMALL)
def test_a_network_takes_one_step_and_its_loss_is_finite(name: str) -> None:
    import keras

    recipe = RECIPES[name]
    keras.utils.set_random_seed(0)
    model = recipe.network(None)
    model.compile(optimizer="sgd", loss=recipe.plan.loss.value)
    images = np.random.default_rng(0).random((2, *model.input_shape[1:]), dtype=np.float32)
    wanted = np.zeros((2, recipe.spec.outputs), np.float32)
    wanted[:, 0] = 1
    assert np.isfinite(model.train_on_batch(images, wanted))


def test_plans_are_the_published_ones() -> None:
    plan = {name: recipe.plan for name, recipe in RECIPES.items()}
    first = plan["density-malignancy-cnn"]
    assert (first.optimiser, first.epochs, first.plateau) == (Sgd(0.003, 0.5), 45, Plateau(0.3, 3))
    for name in ("simple", "alexnet", "vgg16", "densenet121", "efficientnetv2b0", "shufflenet"):
        second = plan[f"density-malignancy-{name}"]
        assert (second.optimiser, second.loss, second.epochs) == (Adam(0.001), Loss.CATEGORICAL, 50)
    third = plan["mias-abnormality"]
    assert (third.optimiser, third.loss, third.batch, third.stop_patience) == (Adam(0.001), Loss.BINARY, 128, 3)
    fifth = plan["busi-densenet121"]
    assert (fifth.optimiser, fifth.batch, fifth.epochs, fifth.keep_best) == (Adam(0.001), 16, 10, True)


def test_contracts_differ_between_systems_and_agree_within_one() -> None:
    contracts = {name: recipe.spec.contract for name, recipe in RECIPES.items()}
    six = {contracts[f"density-malignancy-{n}"] for n in ("simple", "vgg16", "densenet121", "shufflenet")}
    assert len(six) == 1
    systems = [
        "density-malignancy-cnn",
        "density-malignancy-simple",
        "mias-abnormality",
        "idc-patch",
        "busi-densenet121",
    ]
    assert len({contracts[name] for name in systems}) == 5


def test_weights_for_a_recipe_that_takes_none_are_refused() -> None:
    from pathlib import Path

    from training.errors import RecipeError
    from training.fitting.fit import fit

    with pytest.raises(RecipeError, match="takes no --weights"):
        fit(RECIPES["mias-abnormality"], Path("absent"), Path("absent"), weights="imagenet")


def test_mias_stays_marked_as_research_only() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.source.research_only] == [
        "mias-abnormality",
        "mias-region",
    ]
