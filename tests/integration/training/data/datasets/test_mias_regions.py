"""mini-MIAS regions: every lesion with a place, and normal tissue of other women at the same places."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.images.region import Region, split_name
from training.data.datasets import Dataset, Sample, mias, mias_regions
from training.data.datasets.mias_regions import AIR, CONTROLS, LABELS, TISSUE
from training.data.samples import SampleReader

# Woman 1: a lesion in each breast. Woman 2: a lesion in the left, the right is normal. Women 3 to 9: normal. Woman 10:
# one lesion without a place.
LINES = ["mdb001 G CIRC B 500 600 40", "mdb002 G MISC M 300 400 10", "mdb003 F CIRC M 700 500 60", "mdb004 F NORM"]
LINES += [f"mdb{number:03} D NORM" for number in range(5, 19)] + ["mdb019 D CALC B", "mdb020 D NORM"]
LESIONS = {"mdb001.pgm@500,423,40", "mdb002.pgm@300,623,10", "mdb003.pgm@700,523,60"}


def film(path: Path, *, dark: tuple[slice, slice] | None = None) -> None:
    pixels = np.full((mias.SIDE_PX, mias.SIDE_PX), 100, np.uint8)
    if dark is not None:
        pixels[dark] = AIR
    cv2.imwrite(str(path), pixels)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / mias.FOLDER
    folder.mkdir()
    for number in range(1, 21):
        film(folder / f"mdb{number:03}.pgm")
    (folder / mias.INFO).write_text("\n".join(LINES) + "\n", encoding="ascii")
    return tmp_path


def of(dataset: Dataset, label: int) -> list[Sample]:
    return [sample for sample in dataset.samples if sample.label == label]


def number(sample: Sample) -> int:
    return int(sample.path.stem[3:])


def woman(sample: Sample) -> int:
    return (number(sample) + 1) // 2


def test_every_lesion_with_a_place_is_positive_with_y_from_the_top(root: Path) -> None:
    dataset = mias_regions.load(root)
    assert dataset.labels == LABELS
    assert {sample.name for sample in of(dataset, 1)} == LESIONS
    assert all(split_name(sample.name) == (sample.path.name, sample.region) for sample in dataset.samples)
    assert "1 lesions have no place and are left out" in dataset.notes


def test_controls_lie_at_the_same_place_in_normal_images_of_the_same_side_of_other_women(root: Path) -> None:
    dataset = mias_regions.load(root)
    for lesion in of(dataset, 1):
        controls = [c for c in of(dataset, 0) if c.region == lesion.region]
        assert len(controls) == CONTROLS
        assert all(number(c) % 2 == number(lesion) % 2 and woman(c) != woman(lesion) for c in controls)
        assert all(4 <= number(c) != 19 for c in controls)


def test_the_other_breast_is_mirrored_if_it_is_normal(root: Path) -> None:
    dataset = mias_regions.load(root)
    mirrored = [c for c in of(dataset, 0) if c.region not in {lesion.region for lesion in of(dataset, 1)}]
    assert [c.name for c in mirrored] == ["mdb004.pgm@323,523,60"]  # 1023 - 700; woman 1 has no normal image
    assert (mirrored[0].group, of(dataset, 1)[2].group) == ("2", "2")


def test_a_control_belongs_to_the_woman_whose_image_it_is(root: Path) -> None:
    dataset = mias_regions.load(root)
    assert all(sample.group == str(woman(sample)) for sample in dataset.samples)
    assert dataset.grouped_by == "women"


def test_candidates_come_in_the_order_of_a_hash_of_both_names(root: Path) -> None:
    """The oracle ranks by hand; an image that is taken away changes nothing but its own place."""
    lesion = "mdb003.pgm@700,523,60"

    def chosen() -> set[str]:
        return {c.path.name for c in of(mias_regions.load(root), 0) if c.region == Region(700, 523, 60)}

    candidates = [f"mdb{n:03}.pgm" for n in range(5, 19, 2)]
    ranked = sorted(candidates, key=lambda name: hashlib.sha256(f"{lesion}\n{name}".encode()).hexdigest())
    assert chosen() == set(ranked[:CONTROLS])
    (root / mias.FOLDER / ranked[1]).unlink()
    assert chosen() == {ranked[0], *ranked[2 : CONTROLS + 1]}


def test_a_control_outside_the_breast_gives_way_to_the_next_and_is_counted(root: Path) -> None:
    before = {c.path.name for c in of(mias_regions.load(root), 0) if c.region == Region(300, 623, 10)}
    dark = sorted(before)[0]
    film(root / mias.FOLDER / dark, dark=(slice(599, 605), slice(None)))  # 6 of 48 rows: 12.5 % is air
    dataset = mias_regions.load(root)
    after = {c.path.name for c in of(dataset, 0) if c.region == Region(300, 623, 10)}
    assert dark not in after
    assert len(after) == CONTROLS
    assert dataset.dropped == (f"{dark}@300,623,10: 88% of the square is tissue",)
    assert "1 candidates dropped" in dataset.summary()
    assert any("1 more were dropped: less than 90% of their square is brighter than 20" in n for n in dataset.notes)


def test_a_tenth_of_air_is_still_a_control(root: Path) -> None:
    before = mias_regions.load(root)
    chosen = next(c for c in of(before, 0) if c.region == Region(300, 623, 10))
    film(chosen.path, dark=(slice(599, 603), slice(None)))  # 4 of 48 rows
    assert mias_regions.load(root).samples == before.samples


def test_the_same_set_is_read_twice_alike(root: Path) -> None:
    assert mias_regions.load(root) == mias_regions.load(root / mias.FOLDER)


def test_a_normal_image_that_cannot_be_read_gives_no_control_and_is_named(root: Path) -> None:
    (root / mias.FOLDER / "mdb005.pgm").write_bytes(b"P5 1024 1024 255 x")
    dataset = mias_regions.load(root)
    assert all(sample.path.name != "mdb005.pgm" for sample in dataset.samples)
    assert "1 normal images cannot be read and give no controls: mdb005.pgm" in dataset.notes


def test_a_lesion_in_air_is_left_out_by_name_with_its_controls(root: Path) -> None:
    film(root / mias.FOLDER / "mdb002.pgm", dark=(slice(599, 648), slice(276, 325)))  # the whole square
    dataset = mias_regions.load(root)
    assert {sample.name for sample in of(dataset, 1)} == LESIONS - {"mdb002.pgm@300,623,10"}
    assert dataset.dropped == ("mdb002.pgm@300,623,10: a lesion in air",)
    assert Region(300, 623, 10) not in {control.region for control in of(dataset, 0)}


@pytest.mark.shared
def test_the_published_regions(published: Callable[[str], Path]) -> None:
    dataset = mias_regions.load(published("mias"))
    lesions, controls = of(dataset, 1), of(dataset, 0)
    assert (len(lesions), len(controls)) == (93, 442)
    assert len(dataset.dropped) == 322
    assert dataset.dropped[0] == "mdb212.pgm@687,141,3: a lesion in air"
    places: dict[Region | None, list[Sample]] = {}
    for lesion in lesions:
        places.setdefault(lesion.region, []).append(lesion)
    mirrored = [c for c in controls if c.region not in places]
    for control in controls:
        if control.region in places:
            assert all(woman(control) != woman(lesion) for lesion in places[control.region])
    of_woman = {sample.group for sample in lesions}
    assert all(control.group in of_woman for control in mirrored)
    assert max(Counter(c.region for c in controls if c.region in places).values()) <= CONTROLS


@pytest.mark.shared
def test_published_lesions_are_brighter_than_tissue_at_the_same_places(published: Callable[[str], Path]) -> None:
    images = SampleReader()
    values: dict[int, list[float]] = {0: [], 1: []}
    for sample in mias_regions.load(published("mias")).samples:
        pixels = images.read(sample).pixels
        values[sample.label].append(float(pixels.mean()))
        assert sample.label == 1 or (pixels > AIR).mean() >= TISSUE, sample.name
    assert np.median(values[1]) > np.median(values[0]) + 10
