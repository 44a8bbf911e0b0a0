"""All recipes, by name. Each file defines a published system or a model of this project."""

from __future__ import annotations

from training.errors import RecipeError
from training.recipes.breast_us import BREAST_US, BREAST_US_LESION
from training.recipes.busi_compact import BUSI_COMPACT, BUSI_NANO
from training.recipes.busi_densenet121 import BUSI_DENSENET121
from training.recipes.density_malignancy_cnn import DENSITY_MALIGNANCY_CNN
from training.recipes.density_malignancy_six import SIX
from training.recipes.idc_patch import IDC_PATCH
from training.recipes.idc_patch_compact import IDC_PATCH_COMPACT
from training.recipes.idc_patch_large import IDC_PATCH_LARGE
from training.recipes.mias_abnormality import MIAS_ABNORMALITY
from training.recipes.mias_region import MIAS_REGION
from training.recipes.phantom_patch import PHANTOM_PATCH
from training.recipes.recipe import Recipe

PUBLISHED = (DENSITY_MALIGNANCY_CNN, *SIX, MIAS_ABNORMALITY, IDC_PATCH, BUSI_DENSENET121)
"""The five published systems, as coded."""

OWN = (
    *(BREAST_US, BREAST_US_LESION, BUSI_COMPACT, BUSI_NANO),
    *(IDC_PATCH_COMPACT, IDC_PATCH_LARGE, MIAS_REGION, PHANTOM_PATCH),
)
"""Models of this project."""

RECIPES: dict[str, Recipe] = {recipe.spec.name: recipe for recipe in (*PUBLISHED, *OWN)}


def find_recipe(name: str) -> Recipe:
    """Return the recipe called ``name``.

    Raises:
        RecipeError: there is no such recipe; the message lists all names.
    """
    try:
        return RECIPES[name]
    except KeyError:
        raise RecipeError(f"found recipe {name!r}, expected one of {', '.join(sorted(RECIPES))}.") from None
