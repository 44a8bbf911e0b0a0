"""The recipes, by name: one published system or phantom a file."""

from __future__ import annotations

from training.errors import RecipeError
from training.recipe import Recipe
from training.recipes.idc_patch import IDC_PATCH
from training.recipes.phantom_patch import PHANTOM_PATCH

RECIPES: dict[str, Recipe] = {recipe.spec.name: recipe for recipe in (IDC_PATCH, PHANTOM_PATCH)}


def find_recipe(name: str) -> Recipe:
    """Return the recipe called ``name``.

    Raises:
        RecipeError: there is none; the message lists those that are.
    """
    try:
        return RECIPES[name]
    except KeyError:
        raise RecipeError(f"found recipe {name!r}, expected one of {', '.join(sorted(RECIPES))}.") from None
