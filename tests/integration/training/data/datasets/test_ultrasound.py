"""The three ultrasound sites as one set: unique names, sites and scanners, copies across sites, marked lesions."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.images.region import Region
from tests.ultrasound_sites import BOX, mask, write, write_sites
from training.data.assignment import split_by_group
from training.data.datasets import breast_us, busbra, busi, lesions, ultrasound
from training.data.datasets.dataset import Dataset
from training.data.folds import leave_out
from training.data.splits import Part, SplitPlan
from training.errors import DatasetError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sites(tmp_path_factory.mktemp("sites"), nested=True)


@pytest.fixture(scope="module")
def joined(root: Path) -> Dataset:
    return ultrasound.load(root)


def _trait(dataset: Dataset, trait: str) -> Counter[str]:
    return Counter(dict(dataset.traits[sample.name])[trait] for sample in dataset.samples)


def test_names_and_groups_are_unique_across_sites_and_every_image_has_site_and_scanner(joined: Dataset) -> None:
    assert len({s.name for s in joined.samples}) == len(joined.samples) == 18 + 16 + 8
    assert {s.name.split("/")[0] for s in joined.samples} == {busi.FOLDER, busbra.FOLDER, breast_us.FOLDER}
    assert all(s.group.split("/")[0] == s.name.split("/")[0] for s in joined.samples)
    assert _trait(joined, "site") == {"Egypt (BUSI)": 18, "Brazil (BUS-BRA)": 16, "Poland (BrEaST)": 8}
    assert _trait(joined, "scanner") == {
        "GE Logiq E9": 18,
        "GE Logiq 7": 8,
        "GE Logiq 5": 8,
        "not recorded (BrEaST)": 8,
    }
    assert Counter(joined.labels[s.label] for s in joined.samples) == {"benign": 18, "malignant": 17, "normal": 7}
    assert joined.near is not None
    assert joined.near.pictures == 42
    assert joined.notes[-1] == "0 pairs of near-same images are of two sites"


def test_flat_and_nested_folders_give_the_same_set(joined: Dataset, tmp_path: Path) -> None:
    flat = ultrasound.read(write_sites(tmp_path))
    assert [s.name for s in flat.samples] == [s.name for s in joined.samples]
    assert flat.traits == joined.traits


def test_copies_across_sites_join_groups_and_contradict_labels(root: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(root, copied)
    source = copied / "busbra" / busbra.FOLDER / "Images" / "bus_0002-l.png"  # malignant
    shutil.copy(source, copied / "busi" / busi.FOLDER / "benign" / "benign (3).png")
    dataset = ultrasound.load(copied)
    groups = {s.name: s.group for s in dataset.samples}
    ours, theirs = "BUSBRA/Images/bus_0002-l.png", f"{busi.FOLDER}/benign/benign (3).png"
    assert groups[ours] == groups[theirs] == groups["BUSBRA/Images/bus_0002-r.png"]
    assert dataset.contradicted == {ours, theirs}
    assert dataset.notes[-1] == "1 pairs of near-same images are of two sites"
    # leaving out Egypt, the Brazilian patient of the copied image is not fitted on, and is not tested either
    fold = next(f for f in leave_out(dataset.samples, PLAN, dataset.traits, "site") if f.value.startswith("Egypt"))
    assert fold.split[groups[ours]] is Part.TEST
    assert ours not in fold.tested
    assert theirs in fold.tested


def test_missing_sets_are_named_with_the_place_and_double_ones_too(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "busi", tmp_path / "busi")
    with pytest.raises(DatasetError) as caught:
        ultrasound.load(tmp_path)
    assert f"found no folder BUSBRA, {breast_us.FOLDER}, expected" in str(caught.value)
    assert f"Looked in {tmp_path} and 1 folders in it" in str(caught.value)
    with pytest.raises(DatasetError, match="which is no folder"):
        ultrasound.load(tmp_path / "none")
    for name in ("busbra", "breast"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copytree(root / "busi", tmp_path / "second")
    with pytest.raises(DatasetError, match=r"busi, .*second, expected it once"):
        ultrasound.load(tmp_path)


def test_each_marked_lesion_is_a_region_around_its_box(root: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(root, copied)
    folder = copied / "busi" / busi.FOLDER / "benign"
    write(folder / "benign (1)_mask_1.png", mask((100, 10, 111, 41)))
    write(folder / "benign (2)_mask_1.png", mask(BOX))
    write(folder / "benign (4)_mask.png", mask())
    dataset = ultrasound.load_lesions(copied)
    assert dataset.labels == ("benign", "malignant")
    name = f"{busi.FOLDER}/benign/benign (1).png"
    here = {s.name: s.region for s in dataset.samples if s.name.startswith(name)}
    assert here == {f"{name}@59.5,59.5,20": Region(59.5, 59.5, 20), f"{name}@105,25,15.5": Region(105, 25, 15.5)}
    assert len(dataset.samples) == 18 + 17  # one lesion more and one less than images with a lesion
    assert dataset.dropped == (
        f"{busi.FOLDER}/benign/benign (2).png@59.5,59.5,20: a second mask with the same circle",
        f"{busi.FOLDER}/benign/benign (4).png: all masks are empty",
    )
    assert set(dataset.traits) == {s.name for s in dataset.samples}
    first = next(s for s in dataset.samples if s.name == f"{name}@105,25,15.5")
    found = lesions.of_ultrasound(first)
    assert found is not None
    assert lesions.box(found) == (100, 10, 111, 41)
    (whole,) = [s for s in ultrasound.read(copied).samples if s.name == name]
    both = lesions.of_ultrasound(whole)
    assert both is not None
    assert both.sum() == 40 * 20 + 11 * 31


def test_masks_of_every_site_are_found_and_normal_images_have_none(root: Path) -> None:
    for sample in ultrasound.read(root).samples:
        found = lesions.of_ultrasound(sample)
        assert (found is None) == (sample.label == 2), sample.name
        assert found is None or lesions.box(found) == BOX


def test_a_mask_of_another_size_is_refused_and_an_empty_mask_has_no_box(root: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(root, copied)
    write(copied / "busbra" / busbra.FOLDER / "Masks" / "mask_0001-l.png", np.full((150, 171), 255, np.uint8))
    with pytest.raises(DatasetError, match="found a mask of 171x150 px, expected that of the image, 170x150 px"):
        ultrasound.load_lesions(copied)
    assert lesions.box(np.zeros((4, 5), np.bool_)) is None


PLAN = SplitPlan(validation=0.2, test=0.2, seed=1)


def test_every_site_is_in_every_part(joined: Dataset) -> None:
    split = split_by_group(joined.samples, PLAN, joined.traits)
    found = {(dict(joined.traits[s.name])["site"], split[s.group]) for s in joined.samples}
    assert len(found) == 3 * 3


@pytest.mark.shared
@pytest.mark.slow
def test_the_published_sets_have_no_copies_across_sites(published: Callable[[str], Path]) -> None:
    roots = {published(name).parent for name in ("busi", "busbra", "breast")}
    (root,) = roots
    dataset = ultrasound.load(root)
    assert dataset.summary().startswith("1370 images of 935 patients or scans")
    assert "0 pairs of near-same images are of two sites" in dataset.notes
