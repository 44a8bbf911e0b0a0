"""Samples that are regions: cut as the device cuts, decoded once a file, named so that every list finds them again."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import training.data.samples
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import Source, read
from edge_runtime.images.region import Region, RegionCrop, crop, region_name
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from export.errors import CalibrationError
from export.source.calibration_images import FEWEST, load_calibration
from training.data.audit.audit_image import write_sheet
from training.data.audit.duplicates import compare
from training.data.datasets import Dataset, Sample
from training.data.samples import TIGHT, SampleReader
from training.data.tensors import load_tensors
from training.errors import DatasetError
from training.fitting import calibration_samples
from training.recipes import find_recipe
from training.reporting.preview import preview_rows

RULE = RegionCrop(margin=1.0, least_half_px=8.0)
PLAIN = ModelSpec(
    "marked",
    "1.0.0",
    "a marked region",
    (Colour(ColourOrder.GREY), Resize(16, 16, Interpolation.LINEAR_EXACT, PixelType.UINT8)),
    ("no", "yes"),
    ("yes",),
    Head.SIGMOID,
    DecisionPolicy(0.5, 0.0),
)
SPEC = replace(PLAIN, region=RULE)
PLACES = (Region(20, 30, 10), Region(60.5, 40, 14), Region(2, 97, 9), Region(70, 70, 25))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Ten films of two women's names each, four regions a film."""
    samples = []
    for film in range(10):
        path = tmp_path / "set" / f"film{film}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(film).integers(0, 256, (100, 90), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.GaussianBlur(pixels, (0, 0), 2))
        samples += [Sample(region_name(path.name, r), path, i % 2, f"woman {film}", r) for i, r in enumerate(PLACES)]
    return Dataset(tmp_path / "set", ("no", "yes"), tuple(sorted(samples)))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, in turn."""
    names: list[str] = []

    def counting(source: Source, **options: int) -> object:
        names.append(Path(str(source)).name)
        return read(source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(training.data.samples, "read", counting)
    return names


def test_tensors_are_the_devices_cut_and_steps_and_each_file_is_decoded_once(
    dataset: Dataset, decoded: list[str]
) -> None:
    found = load_tensors(dataset.samples, SPEC, label="all")
    squares = [crop(read(s.path), s.region, RULE) for s in dataset.samples if s.region is not None]
    np.testing.assert_array_equal(found.images, np.stack([preprocess(square, SPEC.steps) for square in squares]))
    np.testing.assert_allclose(found.colour[:, 0], [square.pixels.mean() for square in squares])
    assert decoded == [f"film{i}.png" for i in range(10)]


def test_a_region_outside_is_skipped_and_named_by_its_region(dataset: Dataset) -> None:
    first = dataset.samples[0]
    outside = replace(first, name=region_name(first.path.name, Region(500, 5, 9)), region=Region(500, 5, 9))
    found = load_tensors((first, outside), SPEC, label="two")
    assert found.refused == (f"{first.path.name}@500,5,9: image_region_outside",)
    assert found.samples == (first,)


def test_regions_and_a_spec_that_do_not_fit_each_other_are_refused(dataset: Dataset) -> None:
    first = dataset.samples[0]
    with pytest.raises(DatasetError, match=r"film0\.png@.*a region of a data set.*Correct the recipe"):
        load_tensors(dataset.samples, PLAIN, label="all")
    with pytest.raises(DatasetError, match=r"film0\.png: a whole image of a data set.*Correct the recipe"):
        load_tensors((replace(first, name="film0.png", region=None),), SPEC, label="one")


def test_whole_images_are_read_as_ever(dataset: Dataset, decoded: list[str]) -> None:
    whole = replace(dataset.samples[0], name="film0.png", region=None)
    images = SampleReader(PLAIN)
    for _ in range(2):
        np.testing.assert_array_equal(images.read(whole).pixels, read(whole.path).pixels)
    assert decoded == ["film0.png"] * 2  # not kept: no other sample is of the same file
    with pytest.raises(ImageError, match="shorter side of at least 95 px"):
        SampleReader(replace(SPEC, min_side_px=95)).read(dataset.samples[0])


def test_a_sample_says_its_region_in_its_name(dataset: Dataset) -> None:
    first = dataset.samples[0]
    with pytest.raises(ValueError, match="expected the one that its name ends with"):
        replace(first, region=Region(1, 2, 3))
    with pytest.raises(ValueError, match="expected the one that its name ends with"):
        replace(first, name="film0.png")
    assert sorted([first, replace(first, label=1 - first.label)])[0].name == first.name
    assert len({replace(sample) for sample in (*dataset.samples, *dataset.samples)}) == len(dataset.samples)


def test_a_preview_shows_the_square(dataset: Dataset) -> None:
    recipe = replace(find_recipe("mias-abnormality"), spec=replace(SPEC, labels=("no", "yes")))
    rows = preview_rows(recipe, dataset, count=4, seed=0)
    assert {row.size_px for row in rows} <= {RULE.square(place)[2:] * 2 for place in PLACES}
    assert len(rows) == 4


def test_an_audit_compares_squares_and_draws_them(dataset: Dataset, tmp_path: Path) -> None:
    first = dataset.samples[0]
    copied = first.path.with_name("film99.png")
    copied.write_bytes(first.path.read_bytes())
    twin = replace(first, name=region_name(copied.name, first.region), path=copied, group="woman 99")
    found = compare((*dataset.samples[: len(PLACES)], twin))
    assert [(pair.first, pair.second, pair.exact) for pair in found.pairs if pair.exact] == [(first, twin, True)]
    write_sheet(found.pairs, dataset.labels, tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").is_file()
    assert first.region is not None
    square = SampleReader().read(first).pixels
    np.testing.assert_array_equal(square, crop(read(first.path), first.region, TIGHT).pixels)


def _write(dataset: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> int:
    """Let calibration choose from the whole set, in place of an artifact and a recipe."""

    class Artifact:
        def __init__(self, _: Path) -> None: ...
        def spec(self) -> ModelSpec:
            return SPEC

        def split(self) -> dict[str, str]:
            return {}

    class Recipe:
        class source:  # noqa: N801
            load = staticmethod(lambda _: dataset)

    monkeypatch.setattr(calibration_samples, "Artifact", Artifact)
    monkeypatch.setattr(calibration_samples, "find_recipe", lambda _: Recipe)
    monkeypatch.setattr(calibration_samples, "select", lambda samples, split, part: samples)
    return calibration_samples.write_samples(folder, folder, folder / "samples.csv", count)


def test_what_calibration_names_is_what_export_cuts(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "calibration"
    assert _write(dataset, folder, monkeypatch, FEWEST) == FEWEST
    with (folder / "samples.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    known = {sample.name: sample for sample in dataset.samples}
    chosen = [known[row["name"]] for row in rows]
    assert [row["sha256"] for row in rows] == [hashlib.sha256(s.path.read_bytes()).hexdigest() for s in chosen]
    found = load_calibration(folder, dataset.root, SPEC)
    np.testing.assert_array_equal(found.tensors, load_tensors(chosen, SPEC, label="chosen").images)
    with pytest.raises(CalibrationError, match=r"film0\.png@.*expected none: this model classifies whole images"):
        load_calibration(folder, dataset.root, PLAIN)


def test_a_rare_label_does_not_leave_too_few_images_for_ranges(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many of each label would be six images of forty, and export refuses so few."""
    rare = tuple(replace(sample, label=int(i < 3)) for i, sample in enumerate(dataset.samples))
    assert _write(replace(dataset, samples=rare), tmp_path / "calibration", monkeypatch, len(rare)) == len(rare)
    assert len(load_calibration(tmp_path / "calibration", dataset.root, SPEC).tensors) == len(rare)


def test_a_list_without_regions_is_refused_for_a_region_model(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "calibration"
    _write(dataset, folder, monkeypatch, FEWEST)
    text = (folder / "samples.csv").read_text()
    (folder / "samples.csv").write_text(text.replace("@20,30,10", ""))
    with pytest.raises(CalibrationError, match=r"film0\.png: found no region.*names regions as file@x,y,radius"):
        load_calibration(folder, dataset.root, SPEC)
