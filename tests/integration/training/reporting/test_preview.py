"""A preview shows training images alone, one of each label first, in colours that a person expects."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edge_runtime.images.colour import ColourOrder
from training.cli.preview import preview
from training.data.assignment import split_by_group
from training.data.augmentation import Augmentation
from training.data.datasets import Dataset, Sample, idc
from training.data.splits import Part
from training.errors import DatasetError
from training.recipes import find_recipe
from training.recipes.recipe import Recipe
from training.reporting.preview import DRAWS, PreviewRow, preview_rows, shown, spread
from training.reporting.preview_sheet import draw_sheet, footer, words

PATCH = find_recipe("idc-patch")
PHANTOM = find_recipe("phantom-patch")
MAMMOGRAM = find_recipe("density-malignancy-simple")
GREY = find_recipe("mias-abnormality")


def _set(folder: Path, labels: int, *, groups: int = 10, shape: tuple[int, ...] = (60, 50, 3)) -> Dataset:
    """One image of each label for each group; the value of all its pixels is 10 × the group's number + label."""
    samples = []
    for group in range(groups):
        for label in range(labels):
            path = folder / f"{group}-{label}.png"
            pixels = np.full(shape, 10 * group + label, np.uint8)
            pixels[0, 0] = 255
            cv2.imwrite(str(path), pixels)
            samples.append(Sample(path.name, path, label, f"patient {group}"))
    return Dataset(folder, tuple(f"label {n}" for n in range(labels)), tuple(samples))


def _groups_shown(rows: tuple[PreviewRow, ...]) -> set[str]:
    return {f"patient {int(row.image[-1, -1, 0]) // 10}" for row in rows}


@pytest.mark.parametrize("recipe, labels", [(PATCH, 2), (MAMMOGRAM, 8), (GREY, 2)])
def test_only_patients_that_train_are_shown(recipe: Recipe, labels: int, tmp_path: Path) -> None:
    dataset = _set(tmp_path, labels, shape=(70, 66) if recipe is GREY else (70, 66, 3))
    split = split_by_group(dataset.samples, recipe.split)
    train = {group for group, part in split.items() if part is Part.TRAIN}
    rows = preview_rows(recipe, dataset, count=1000, seed=0)
    assert len(rows) == labels * len(train)
    assert _groups_shown(rows) == train


def test_the_first_rows_show_each_of_8_labels_once_and_then_again(tmp_path: Path) -> None:
    rows = preview_rows(MAMMOGRAM, _set(tmp_path, 8), count=16, seed=3)
    assert [row.label for row in rows] == [*MAMMOGRAM.spec.labels] * 2


def test_a_rare_label_gives_its_place_to_the_others() -> None:
    samples = [Sample(f"{n}", Path(f"{n}"), 0 if n else 1, f"{n}") for n in range(5)]
    assert [sample.label for sample in spread(samples, 0)] == [0, 1, 0, 0, 0]
    assert {sample.name for sample in spread(samples, 0)} == {sample.name for sample in samples}


def test_images_with_contradictory_labels_are_not_shown(tmp_path: Path) -> None:
    dataset = _set(tmp_path, 2)
    contradicted = frozenset(sample.name for sample in dataset.samples if sample.label == 1)
    rows = preview_rows(PATCH, dataclasses.replace(dataset, contradicted=contradicted), count=1000, seed=0)
    assert {row.label for row in rows} == {"benign"}


def test_a_seed_decides_the_sheet_and_another_gives_another(phantom_data: Path) -> None:
    dataset = idc.load(phantom_data)
    first, again, other = (draw_sheet(PATCH, preview_rows(PATCH, dataset, count=2, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_bgr_tensor_is_shown_in_the_colours_of_its_image() -> None:
    """Blue image, BGR tensor: the person sees blue."""
    tensor = np.zeros((4, 4, 3), np.float32)
    tensor[..., 0] = 1
    for order, channel in ((ColourOrder.BGR, 2), (ColourOrder.RGB, 0)):
        found = shown(tensor, order, 0.0, 1.0)
        assert found.dtype == np.uint8
        assert [int(found[..., c].max()) for c in range(3)] == [255 if c == channel else 0 for c in range(3)]


def test_a_tensor_is_stretched_from_its_minimum_to_its_maximum() -> None:
    tensor = np.linspace(-3, 5, 256, dtype=np.float32).reshape(16, 16, 1)
    found = shown(tensor, ColourOrder.GREY, -3.0, 5.0)
    assert found.shape == (16, 16, 3)
    assert np.array_equal(found[..., 1].ravel(), np.arange(256))
    assert not shown(np.full((3, 3), 7.0), ColourOrder.GREY, 7.0, 7.0).any()


def test_draws_are_of_the_rows_own_tensor_and_share_its_stretch(phantom_data: Path) -> None:
    """Flips and quarter turns move values and change none, so every draw holds the values of the prepared tensor."""
    rows = preview_rows(PATCH, idc.load(phantom_data), count=4, seed=0)
    for row in rows:
        prepared, *draws = row.tensors
        assert len(draws) == DRAWS
        for draw in draws:
            assert np.array_equal(np.sort(draw, axis=None), np.sort(prepared, axis=None))
    assert any(not np.array_equal(draw, row.tensors[0]) for row in rows for draw in row.tensors[1:])


def test_a_rotation_brings_in_zeros_that_are_seen_as_such(tmp_path: Path) -> None:
    """No value of the images is 0, so a black corner is the border's."""
    turned = dataclasses.replace(GREY, augmentation=Augmentation(False, False, rotation_deg=40.0))
    dataset = _set(tmp_path, 2, shape=(128, 128))
    corners = [int(draw[0, 0, 0]) for row in preview_rows(turned, dataset, count=3, seed=0) for draw in row.tensors[1:]]
    assert min(corners) == 0


def test_a_recipe_without_augmentation_says_so_and_has_no_draws(phantom_data: Path) -> None:
    rows = preview_rows(PHANTOM, idc.load(phantom_data), count=2, seed=0)
    assert PHANTOM.augmentation is None
    assert all(len(row.tensors) == 1 for row in rows)
    assert any(line.startswith("No augmentation") for line in footer(PHANTOM))
    assert Image.open(io.BytesIO(draw_sheet(PHANTOM, rows))).format == "PNG"


def test_words_name_every_parameter() -> None:
    found = words(Augmentation(flips=True, quarter_turns=False, rotation_deg=15.0, zoom=0.1))
    assert found == (
        "Augmentation: mirrored left to right half the time, rotated by up to ±15°, zoomed by up to ±10 %; "
        "the border is filled with zeros."
    )
    assert "quarter" not in found
    assert words(Augmentation(False, True)) == "Augmentation: turned by 0, 90, 180 or 270°."


def test_a_set_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    dataset = _set(tmp_path, 2)
    for sample in dataset.samples:
        sample.path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"found 1\d training images and none that can be read"):
        preview_rows(PATCH, dataset, count=2, seed=0)


def test_the_command_counts_what_it_drew_on_stdout_and_names_no_file(phantom_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    arguments = ["idc-patch", "--data", str(phantom_data), "--out", str(out), "--count", "3"]
    result = CliRunner().invoke(preview, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert Counter(result.stdout.split())["2"] == 1
    assert result.stdout.splitlines()[-1] == f"sheet: {out}"
    assert "class0" not in result.stdout
    with Image.open(out) as sheet:
        assert (sheet.format, sheet.size[0] > 1000) == ("PNG", True)


def test_the_command_refuses_a_sheet_that_is_no_png(phantom_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.jpg"
    result = CliRunner().invoke(preview, ["idc-patch", "--data", str(phantom_data), "--out", str(out)])
    assert result.exit_code == 2
    assert "found sheet.jpg, expected a name that ends in .png" in result.stderr
    assert not out.exists()
