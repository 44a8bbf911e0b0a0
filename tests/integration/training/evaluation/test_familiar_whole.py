"""Fitting and counting for a model of regions that judges whole images: films, each once, as the device judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import Region, RegionCrop, crop, region_name
from edge_runtime.ood.detector import NAMES, Familiarity, WholeImage
from edge_runtime.ood.statistics import statistics
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from training.artifact import Artifact
from training.cli.decide import decide as command
from training.data.datasets import Sample
from training.data.drawn_images import DRAWN
from training.data.splits import Part
from training.errors import DatasetError
from training.evaluation import out_of_distribution
from training.evaluation.decide import FamiliarityTarget, decide
from training.evaluation.familiarity import FLOOR, WHOLE_FLOOR, ImageStatistics, fit_familiarity, once_each, see
from training.evaluation.out_of_distribution import CUT, OWN, measure_familiarity

RULE = RegionCrop(margin=1.0, least_half_px=8.0)
SPEC = ModelSpec(
    "marked",
    "1.0.0",
    "a marked region",
    (Colour(ColourOrder.GREY), Resize(16, 16, Interpolation.LINEAR_EXACT, PixelType.UINT8)),
    ("no", "yes"),
    ("yes",),
    Head.SIGMOID,
    DecisionPolicy(0.5, 0.0),
    region=RULE,
)
PLACES = (Region(60, 50, 20), Region(80, 60, 12), Region(50, 40, 9.5))
K = len(NAMES)


def film(seed: int) -> np.ndarray:
    """A drawn film of 140×110 px: tissue, and black around it."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((110, 140), np.uint8)
    centre = (int(rng.integers(60, 80)), int(rng.integers(50, 60)))
    cv2.ellipse(pixels, centre, (int(rng.integers(40, 60)), int(rng.integers(30, 50))), 0, 0, 360, 130, -1)
    noise = cv2.GaussianBlur(rng.normal(0, 60, pixels.shape), (0, 0), 2)
    return np.where(pixels > 0, (pixels + noise).clip(1, 255), 0).astype(np.uint8)


def marked(folder: Path, films: range) -> tuple[Sample, ...]:
    """Two films a woman; the first has three regions, the second one: regions of a film stand apart in the list."""
    samples = []
    folder.mkdir(exist_ok=True)
    for i in films:
        path = folder / f"film{i:03}.png"
        cv2.imwrite(str(path), film(i))
        places = PLACES if i % 2 == 0 else PLACES[:1]
        samples += [Sample(region_name(path.name, r), path, 0, f"woman {i // 2:03}", r) for r in places]
    return tuple(sorted(samples, key=lambda sample: (str(sample.region), sample.name)))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[Part, tuple[Sample, ...]]:
    folder = tmp_path_factory.mktemp("films") / "set"
    films = {Part.TRAIN: range(80), Part.VALIDATION: range(80, 100), Part.TEST: range(100, 130)}
    return {part: marked(folder, found) for part, found in films.items()}


def test_a_film_counts_once_however_many_regions_it_has(own: dict[Part, tuple[Sample, ...]]) -> None:
    samples = own[Part.TRAIN]
    seen = see(samples, SPEC, whole=True)
    paths = sorted({s.path for s in samples})
    expected = {p: statistics(read(p)) for p in paths}
    chosen = once_each(samples)
    assert len(samples) == 160 and len(chosen) == len(paths) == len(seen.groups) == 80
    assert list(dict.fromkeys(s.path for s in samples)) == [s.path for s in chosen], "in the order of the list"
    for sample, row, group in zip(chosen, seen.statistics, seen.groups, strict=True):
        np.testing.assert_array_equal(row, expected[sample.path])
        assert group == sample.group
    assert seen.sides_px is not None and set(seen.sides_px.tolist()) == {110}
    cut = see(samples, SPEC)
    assert cut.sides_px is None and len(cut.groups) == 160


def test_what_is_fitted_says_the_side_and_has_the_floor_of_whole_images() -> None:
    rng = np.random.default_rng(0)
    rows, groups = rng.normal(0, 0.1, (200, K)), np.repeat([f"w{i:02}" for i in range(40)], 5)
    rows[:, 0] = 0.25
    sides = rng.integers(301, 900, 200)
    sides[17] = 301
    for seen, floor in ((ImageStatistics(rows, groups, sides), WHOLE_FLOOR), (ImageStatistics(rows, groups), FLOOR)):
        fitted = fit_familiarity(seen, 0.01)
        moved = rows.mean(axis=0)
        moved[0] += 3 * floor
        assert fitted.familiarity.distances(moved) == pytest.approx(3.0, rel=1e-2)
        whole = seen.sides_px is not None
        assert fitted.familiarity.whole == (WholeImage(150) if whole else None)
        assert ("Familiarity: whole images farther" in fitted.basis) is whole
        assert ("with a side under 150 px" in fitted.basis) is whole


@pytest.fixture
def measured(own: dict[Part, tuple[Sample, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function from a familiarity (None: one is fitted) to rows by kind, with one folder of foreign ones."""
    others = tmp_path / "others"
    others.mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).normal(120, 30, (120, 130)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(others / f"{i}.png"), cv2.GaussianBlur(pixels, (0, 0), 1))
    cv2.imwrite(str(others / "small.png"), film(500)[:40, :50])
    monkeypatch.setattr(out_of_distribution, "_parts", lambda artifact, data: own)
    recipe = SimpleNamespace(familiar=None, source=SimpleNamespace(load=lambda data: None))
    monkeypatch.setattr(out_of_distribution, "find_recipe", lambda name: recipe)

    def rows(known: Familiarity | None) -> dict[str, Any]:
        artifact = cast("Artifact", SimpleNamespace(spec=lambda: replace(SPEC, familiarity=known)))
        table = measure_familiarity(artifact, tmp_path, [others], share=0.02, most=20)
        return {row.kind: row for row in table.rows}

    return rows


def test_all_kinds_are_judged_as_whole_images(own: dict[Part, tuple[Sample, ...]], measured: Any) -> None:
    known = fit_familiarity(see((*own[Part.TRAIN], *own[Part.VALIDATION]), SPEC, whole=True), 0.01).familiarity
    found = measured(known)
    paths = sorted({s.path for s in own[Part.TEST]})
    assert found[OWN].images == len(paths) == 30
    assert found[OWN].referred == sum(known.share(read(path)) > 1 for path in paths) <= 2
    negatives = [DecodedImage("n", 255 - read(path).pixels, ColourOrder.GREY) for path in paths]
    chosen = [negatives[i * 30 // 20] for i in range(20)]
    assert found["own, inverted"].referred == sum(known.share(p) > 1 for p in chosen) == 20
    assert (found["images in others"].images, found["images in others"].referred) == (7, 7)
    squares = [crop(read(s.path), s.region, RULE) for s in own[Part.TEST] if s.region is not None]
    assert found[CUT].images == 20 and not found[CUT].own
    assert all(known.share(square) > 1 for square in squares) and found[CUT].referred == 20
    assert all(found[kind].referred == 20 for kind in DRAWN)


def test_without_the_field_squares_are_counted_as_before(own: dict[Part, tuple[Sample, ...]], measured: Any) -> None:
    known = fit_familiarity(see((*own[Part.TRAIN], *own[Part.VALIDATION]), SPEC), 0.02).familiarity
    found = measured(known)
    assert CUT not in found
    assert found[OWN].images == len(own[Part.TEST])
    squares = [crop(read(s.path), s.region, RULE) for s in own[Part.TEST] if s.region is not None]
    assert found[OWN].referred == sum(known.share(square) > 1 for square in squares)
    assert measured(None) == found, "the same fit, for the table alone"


def test_a_model_of_whole_images_cannot_ask_for_it(phantom_artifact: Path, phantom_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "decided"
    with pytest.raises(DatasetError, match=r"found --whole for a model of whole images.*Leave --whole"):
        decide(
            Artifact(phantom_artifact),
            phantom_data,
            out,
            cast("Any", None),
            familiar=FamiliarityTarget(0.01, whole=True),
        )
    assert not out.exists(), "refused before anything is written"


def test_whole_alone_is_refused_on_the_command_line(phantom_artifact: Path, phantom_data: Path, tmp_path: Path) -> None:
    arguments = [str(phantom_artifact), "--data", str(phantom_data), "--out", str(tmp_path / "out"), "--whole"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2 and "found --whole alone, expected --familiar" in done.stderr
