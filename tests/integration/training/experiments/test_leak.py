"""The leak table: what is dealt, what stands on both sides, and that only the dealing differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.datasets import Sample
from training.data.splits import Part, SplitPlan
from training.data.tensors import Tensors
from training.errors import ArtifactError, RecipeError
from training.experiments.copies import copied, dealt_files, dealt_groups
from training.experiments.leak import AS_PUBLISHED, BY_GROUP, find_leak, measure_leak, paced
from training.recipes import RECIPES
from training.recipes.phantom_patch import PHANTOM_PATCH
from training.recipes.recipe import Copies

PLAN = SplitPlan(validation=0.2, test=0.25, seed=3)


def _tensors(patients: int, each: int) -> Tensors:
    rng = np.random.default_rng(0)
    samples = tuple(
        Sample(f"{patient:03}/{i}", Path("-"), (patient + i) % 2, f"{patient:03}")
        for patient in range(patients)
        for i in range(each)
    )
    count = len(samples)
    return Tensors(
        rng.random((count, 9, 9, 3), dtype=np.float32),
        np.array([s.label for s in samples], dtype=np.int64),
        np.array([s.group for s in samples]),
        np.zeros((count, 6)),
        samples,
        (),
    )


@pytest.mark.parametrize("by", ["files", "groups"])
def test_every_file_is_dealt_once(by: str) -> None:
    tensors = _tensors(20, 3)
    dealt = dealt_files(60, 4, PLAN) if by == "files" else dealt_groups(tensors, 4, PLAN)
    files = [tuple(file) for part in dealt.values() for file in part]
    assert len(files) == len(set(files)) == 240
    assert {which for _, which in files} == {0, 1, 2, 3}
    share = {part: len(found) / 240 for part, found in dealt.items()}
    assert share[Part.TEST] == pytest.approx(0.25, abs=0.06)
    assert share[Part.VALIDATION] == pytest.approx(0.2, abs=0.06)


def test_files_leak_and_groups_do_not() -> None:
    tensors = _tensors(20, 3)

    def shared(dealt: dict[Part, np.ndarray]) -> int:
        patients = {part: set(tensors.groups[files[:, 0]]) for part, files in dealt.items()}
        return len(patients[Part.TRAIN] & patients[Part.TEST])

    assert shared(dealt_files(60, 4, PLAN)) > 15
    assert shared(dealt_groups(tensors, 4, PLAN)) == 0


def test_copies_are_quarter_turns_and_mirror_images_where_the_angle_allows_exact_ones() -> None:
    tensors = _tensors(2, 1)
    copies = Copies(turns=4, mirrored=True)
    files = np.array([(1, which) for which in range(copies.count)])
    made = copied(tensors, copies, files)
    image = tensors.images[1]
    for turn in range(4):
        np.testing.assert_allclose(made.images[turn], np.rot90(image, turn), atol=1e-6)
        np.testing.assert_allclose(made.images[4 + turn], np.rot90(image[:, ::-1], turn), atol=1e-6)
    assert list(made.labels) == [tensors.labels[1]] * 8
    assert list(made.groups) == [tensors.groups[1]] * 8


def test_a_measured_leak_says_what_was_fitted_and_reads_back(phantom_data: Path, tmp_path: Path) -> None:
    recipe = replace(PHANTOM_PATCH, copies=Copies(turns=2, note="made up"))
    table = measure_leak(recipe, phantom_data, tmp_path / "leak", "the command", epochs=1)
    assert [row.split for row in table.rows] == [AS_PUBLISHED, BY_GROUP]
    published, by_group = table.rows
    assert published.shared_groups > 15
    assert by_group.shared_groups == 0
    assert {row.epochs for row in table.rows} == {1}
    for row in table.rows:
        assert {figure.name for figure in row.figures} == {"accuracy", "balanced accuracy", "auroc"}
    assert (tmp_path / "leak" / "leak.json").is_file()
    with pytest.raises(ArtifactError, match="not overwritten"):
        measure_leak(recipe, phantom_data, tmp_path / "leak", "again", epochs=1)


def test_a_recipe_that_does_not_say_what_it_splits_is_refused(phantom_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no leak to measure"):
        measure_leak(PHANTOM_PATCH, phantom_data, tmp_path / "leak", "command")
    assert not (tmp_path / "leak").exists()


def test_patience_counts_epochs_as_long_as_the_original_s() -> None:
    plan = RECIPES["mias-abnormality"].plan
    assert paced(plan, Copies(turns=18, of=180)).stop_patience == 30
    assert paced(plan, Copies(turns=18)) is plan
    assert paced(replace(plan, stop_patience=None), Copies(turns=18, of=180)).stop_patience is None


def test_committed_tables_are_of_known_recipes_with_today_s_claims() -> None:
    found = {name: table for name in RECIPES if (table := find_leak(name)) is not None}
    for name, table in found.items():
        assert table.recipe == name
        assert {(c.name, c.value) for c in table.claims} == {(c.name, c.value) for c in RECIPES[name].claims}
        published, by_group = table.rows
        assert published.shared_groups > 0
        assert by_group.shared_groups == 0
