"""A tile among its neighbours: held against a plain double loop, and float32 near thresholds."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edge_runtime.bundle.bundle import Bundle, find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.cli.describe import describe
from edge_runtime.cli.tiles import card
from edge_runtime.decision.rule import margins
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.engine import Engine
from edge_runtime.predictor import Predictor
from edge_runtime.preprocessing.steps import MinMax, Resize
from edge_runtime.tiling import overlay
from edge_runtime.tiling.overlay import draw
from edge_runtime.tiling.slide import Grid, SlidePrediction
from edge_runtime.tiling.smoothing import averaged, averaged_at, widened
from tests.places import ROOT
from tests.system_4 import BUNDLE
from tests.unit.decision.plain_decision import plain_verdict
from tests.unit.tiling.test_slide import COLUMNS, ROWS, SIDE, slide_pixels

BAND, WEIGHT = 0.04, 0.5
COMPACT = "idc-patch-compact"
CUTOFF, FLOOR = 0.4, 0.65


def by_hand(logits: np.ndarray, present: np.ndarray, weight: float) -> np.ndarray:
    """The same mean, cell by cell and neighbour by neighbour."""
    rows, columns, _ = logits.shape
    found = logits.astype(np.float64)
    for row in range(rows):
        for column in range(columns):
            if not present[row, column]:
                continue
            around = [
                (r, c)
                for r in range(max(row - 1, 0), min(row + 2, rows))
                for c in range(max(column - 1, 0), min(column + 2, columns))
                if (r, c) != (row, column) and present[r, c]
            ]
            total = np.sum([logits[place].astype(np.float64) for place in around], axis=0)
            found[row, column] = (logits[row, column].astype(np.float64) + weight * total) / (1 + weight * len(around))
    return found


def changed(model: str, *, band: float = BAND, **policy: object) -> Bundle:
    bundle = find(model)
    spec = bundle.manifest.spec
    spec = dataclasses.replace(spec, policy=dataclasses.replace(spec.policy, **policy))  # type: ignore[arg-type]
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, spec=spec, guard_band=band))


def system_4(weight: float | None = WEIGHT, band: float = BAND) -> Bundle:
    return changed(str(BUNDLE), band=band, cutoff=CUTOFF, confidence_floor=FLOOR, neighbours=weight)


def opened(bundle: Bundle, precision: Precision = Precision.INT8) -> Predictor:
    return Predictor(bundle, Runtime.LITERT, precision, 1)


def logits_of(bundle: Bundle, pixels: np.ndarray, precision: Precision) -> np.ndarray:
    """One file's logits of every tile, each asked for alone, rows×columns×outputs."""
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    with opened(bundle, precision) as predictor:
        plan = dataclasses.replace(predictor._plan, guard_band=0.0)
        engine = Engine(plan)
        cut = [
            DecodedImage("tile", pixels[y : y + SIDE, x : x + SIDE], read(pixels).order)
            for y in range(0, rows * SIDE, SIDE)
            for x in range(0, columns * SIDE, SIDE)
        ]
        found = [engine.answer(plan.preprocessor.levels(tile)).logits for tile in cut]
        engine.close()
    return np.array(found).reshape(rows, columns, -1)


@pytest.fixture(scope="module")
def slide() -> SlidePrediction:
    with opened(system_4()) as predictor:
        return predictor.predict_tiles(slide_pixels(), workers=2)


@pytest.fixture(scope="module")
def files() -> tuple[np.ndarray, np.ndarray]:
    """Logits of the int8 file and of the float32 file."""
    rounded, exact = (logits_of(system_4(), slide_pixels(), p) for p in (Precision.INT8, Precision.FLOAT32))
    assert np.abs(rounded - exact).max() > 0.01
    return rounded, exact


@pytest.mark.parametrize("weight", [1e-3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 2), (6, 1, 1), (2, 2, 3), (5, 9, 2)])
def test_a_mean_is_the_double_loops(shape: tuple[int, int, int], weight: float) -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        logits = rng.normal(0, 4, shape).astype(np.float32)
        present = rng.random(shape[:2]) < share
        logits[~present] = np.nan if share else 7
        np.testing.assert_allclose(averaged(logits, present, weight), by_hand(logits, present, weight), rtol=1e-14)


def test_bands_of_rows_have_the_bits_of_the_whole() -> None:
    rng = np.random.default_rng(11)
    logits, present = rng.normal(size=(200, 7, 2)), rng.random((200, 7)) < 0.8
    whole = averaged(logits, present, 0.5).reshape(-1, 2)
    for cells in (np.arange(1400), np.flatnonzero(rng.random(1400) < 0.01), np.array([445, 450]), np.empty(0, np.intp)):
        assert np.array_equal(averaged_at(cells, logits, present, 0.5), whole[cells])


def test_a_hand_made_grid_gives_the_sums_on_paper() -> None:
    logits = np.array([[1.0, 2.0], [4.0, 100.0]])[..., np.newaxis]
    present = np.array([[True, True], [True, False]])
    found = averaged(logits, present, 0.5)[..., 0]
    assert found.tolist() == [[(1 + 3) / 2, (2 + 2.5) / 2], [(4 + 1.5) / 2, 100.0]]


def test_a_tile_without_neighbours_and_a_weight_of_nothing_change_no_bit() -> None:
    logits = np.random.default_rng(1).normal(0, 5, (7, 7, 2)).astype(np.float32)
    scattered = np.zeros((7, 7), np.bool_)
    scattered[::2, ::2] = True
    assert np.array_equal(averaged(logits, scattered, 1.0), logits.astype(np.float64))
    assert np.array_equal(averaged(logits, np.ones((7, 7), np.bool_), 0.0), logits.astype(np.float64))


def test_a_mean_depends_on_the_eight_around_it_alone() -> None:
    rng = np.random.default_rng(2)
    logits, other = rng.normal(size=(9, 9, 1)), rng.normal(size=(9, 9, 1))
    everywhere = np.ones((9, 9), np.bool_)
    other[3:6, 3:6] = logits[3:6, 3:6]
    one, two = averaged(logits, everywhere, 0.5), averaged(other, everywhere, 0.5)
    assert one[4, 4] == two[4, 4] and (one != two).sum() == 80


def test_widened_cells_are_those_within_one_row_and_column() -> None:
    cells = np.random.default_rng(3).random((8, 11)) < 0.06
    places = np.argwhere(cells)
    expected = [[bool((np.abs(places - (r, c)).max(axis=1) <= 1).any()) for c in range(11)] for r in range(8)]
    assert places.size and widened(cells).tolist() == expected


def test_every_tile_follows_from_one_files_mean_and_near_thresholds_it_is_float32s(
    slide: SlidePrediction, files: tuple[np.ndarray, np.ndarray]
) -> None:
    spec, everywhere = system_4().manifest.spec, np.ones((ROWS, COLUMNS), np.bool_)
    rounded, exact = (averaged(logits, everywhere, WEIGHT).reshape(ROWS * COLUMNS, -1) for logits in files)
    loops = [by_hand(logits, everywhere, WEIGHT).reshape(ROWS * COLUMNS, -1) for logits in files]
    near = margins(loops[0], spec) <= BAND
    assert 0 < near.sum() < len(near) and len(slide.tiles) == len(near)
    for number, tile in enumerate(slide.tiles):
        verdict = plain_verdict((exact if near[number] else rounded)[number], spec, rerun=bool(near[number]))
        assert (tile.score, tile.confidence) == (verdict.score, verdict.confidence), tile
        assert (tile.decision, tile.reason) == (verdict.decision, verdict.reason), tile
        again = plain_verdict(loops[int(near[number])][number], spec)
        assert tile.score == pytest.approx(again.score, rel=1e-12)
        assert slide.scores[divmod(number, COLUMNS)] == np.float32(tile.score)
    assert slide.reruns == near.sum() and slide.neighbours == WEIGHT
    assert len({tile.decision for tile in slide.tiles}) > 1


def test_a_band_over_everything_is_the_float32_files_answer() -> None:
    with opened(system_4(band=1.0)) as banded, opened(system_4(), Precision.FLOAT32) as exact:
        found, expected = (p.predict_tiles(slide_pixels(), workers=2) for p in (banded, exact))
    assert np.array_equal(found.scores, expected.scores)
    assert [t.decision for t in found.tiles] == [t.decision for t in expected.tiles]
    assert (found.reruns, expected.reruns) == (ROWS * COLUMNS, 0)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(slide: SlidePrediction, workers: int) -> None:
    with opened(system_4()) as predictor:
        found = predictor.predict_tiles(slide_pixels(), workers=workers)
    assert found.tiles == slide.tiles and np.array_equal(found.scores, slide.scores)


def test_the_float32_file_is_asked_about_tiles_near_a_threshold_and_around_them_alone(
    monkeypatch: pytest.MonkeyPatch, files: tuple[np.ndarray, np.ndarray]
) -> None:
    screened: list[int] = []
    counts: list[int] = []
    screen, logits = Engine.screen, Engine.logits

    def counted_screen(self: Engine, prepared: list[np.ndarray], shares: list[float | None]) -> object:
        screened.append(len(prepared))
        return screen(self, prepared, shares)

    def counted_logits(self: Engine, prepared: np.ndarray, *, exact: bool = False) -> np.ndarray:
        counts.append(len(prepared))
        return logits(self, prepared, exact=exact)

    monkeypatch.setattr(Engine, "screen", counted_screen)
    monkeypatch.setattr(Engine, "logits", counted_logits)
    with opened(system_4()) as predictor:
        predictor.predict_tiles(slide_pixels(), workers=1)
    mean = by_hand(files[0], np.ones((ROWS, COLUMNS), np.bool_), WEIGHT).reshape(ROWS * COLUMNS, -1)
    near = (margins(mean, system_4().manifest.spec) <= BAND).reshape(ROWS, COLUMNS)
    assert sum(counts) == widened(near).sum() < ROWS * COLUMNS
    assert sum(screened) == ROWS * COLUMNS


def test_without_neighbours_and_with_another_stride_every_tile_is_answered_for_itself() -> None:
    with opened(system_4()) as predictor, opened(system_4(None)) as plain:
        for stride in (30, 60):
            found, alone = (p.predict_tiles(slide_pixels(), stride_px=stride) for p in (predictor, plain))
            assert found.neighbours is None and found.tiles == alone.tiles and card(found) == card(alone)
            assert dict(found.to_dict(), ms=0) == dict(alone.to_dict(), ms=0)
        touching = predictor.predict_tiles(slide_pixels(), stride_px=SIDE)
        assert touching.neighbours == WEIGHT and touching.tiles == predictor.predict_tiles(slide_pixels()).tiles
        alone = plain.predict_tiles(slide_pixels())
        assert touching.tiles != alone.tiles and "neighbours" not in json.dumps(alone.to_dict()) + card(alone)
        # an image that comes by itself has no neighbours
        assert (
            predictor.predict(slide_pixels()[:SIDE, :SIDE]).verdict
            == plain.predict(slide_pixels()[:SIDE, :SIDE]).verdict
        )


def stretching(bundle: Bundle) -> Bundle:
    """The same network behind a min-max stretch, which fails where all pixels are alike."""
    spec = bundle.manifest.spec
    resize = next(i for i, step in enumerate(spec.steps) if isinstance(step, Resize))
    spec = dataclasses.replace(spec, steps=(*spec.steps[: resize + 1], MinMax(0.0, 1.0)))
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, spec=spec))


def test_failed_tiles_give_no_part_and_a_slide_of_them_is_no_answer() -> None:
    pixels = slide_pixels()[:100, :150].copy()
    pixels[50:100, 50:100] = 200
    bundle = stretching(system_4(band=0.0))
    with opened(bundle) as predictor, opened(stretching(system_4(None, band=0.0))) as plain:
        found, blank = predictor.predict_tiles(pixels), predictor.predict_tiles(np.full((100, 150, 3), 9, np.uint8))
        alone = plain.predict_tiles(pixels)
    assert [(f.x_px, f.y_px) for f in found.failures] == [(50, 50)] and len(found.tiles) == 5
    assert np.argwhere(np.isnan(found.scores)).tolist() == [[1, 1]]
    assert found.tiles != alone.tiles and [t.x_px for t in found.tiles] == [t.x_px for t in alone.tiles]
    assert not blank.tiles and len(blank.failures) == 6 and np.isnan(blank.scores).all()
    pixels[50:100, 50:100, 0] = np.arange(50)  # so that the failed tile has logits, which must not count
    answered = np.array([[True, True, True], [True, False, True]])
    logits = logits_of(bundle, pixels, Precision.INT8)
    expected = by_hand(logits, answered, WEIGHT)[answered]
    scores = [plain_verdict(row, bundle.manifest.spec).score for row in expected]
    assert [t.score for t in found.tiles] == pytest.approx(scores, rel=1e-12)
    everyone = by_hand(logits, np.ones((2, 3), np.bool_), WEIGHT)[answered]
    assert scores != pytest.approx([plain_verdict(row, bundle.manifest.spec).score for row in everyone], rel=1e-3)


def test_unfamiliar_tiles_keep_their_own_scores_and_give_no_part() -> None:
    rng = np.random.default_rng(4)
    pixels = np.tile(read(ROOT / "docs" / "phantom.png").pixels[..., ::-1], (4, 5, 1)).astype(np.int64)
    pixels = (pixels + rng.normal(0, 4, (200, 250, 1)).astype(np.int64)).clip(0, 255).astype(np.uint8)
    pixels[50:100, 100:150] = rng.integers(0, 256, (50, 50, 3))
    known = changed(COMPACT, band=0.0, neighbours=None)
    assert known.manifest.spec.familiarity is not None
    with opened(known) as plain, opened(changed(COMPACT, band=0.0, neighbours=WEIGHT)) as predictor:
        alone, found = plain.predict_tiles(pixels), predictor.predict_tiles(pixels)
        banded = opened(changed(COMPACT, band=1.0, neighbours=WEIGHT))
        rerun = banded.predict_tiles(pixels)
        banded.close()
    strange = np.array([t.reason is Reason.UNFAMILIAR_INPUT for t in alone.tiles]).reshape(4, 5)
    assert strange[1, 2] and 0 < strange.sum() < strange.size
    expected = by_hand(logits_of(known, pixels, Precision.INT8), ~strange, WEIGHT).reshape(20, -1)
    for tile, own, logits in zip(found.tiles, alone.tiles, expected, strict=True):
        if own.reason is Reason.UNFAMILIAR_INPUT:
            assert tile == own and tile.decision is Decision.REFER
        else:
            assert tile.score == pytest.approx(plain_verdict(logits, known.manifest.spec).score, rel=1e-12)
    assert rerun.reruns == (~strange).sum()
    assert [t for t in rerun.tiles if t.reason is Reason.UNFAMILIAR_INPUT] == [
        t for t in alone.tiles if t.reason is Reason.UNFAMILIAR_INPUT
    ]


def test_card_map_and_json_say_that_neighbours_counted(slide: SlidePrediction, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slide.to_dict()["neighbours"] == WEIGHT
    assert "each with its neighbours, weight 0.5" in card(slide)
    said: list[str] = []
    monkeypatch.setattr(overlay, "framed", lambda drawn, lines: said.extend(lines) or drawn)
    draw(read(slide_pixels()), slide)
    assert "of each tile and its neighbours (weight 0.5)" in said[0]
    draw(read(slide_pixels()), dataclasses.replace(slide, neighbours=None))
    assert "neighbours" not in said[4]


@pytest.mark.parametrize(("stride", "touching"), [(None, True), (50, True), (40, False)])
def test_tiles_touch_where_one_begins_where_the_other_ends(stride: int | None, touching: bool) -> None:
    assert Grid(50, 50, stride, 2, 2, 0).touching is touching
    assert Grid(50, 40, stride, 2, 2, 0).touching is (stride is None)


def test_the_description_of_a_bundle_names_the_weight_where_there_is_one() -> None:
    assert "guard band 0.0400, neighbours 0.5 in slides\n" in describe(system_4())
    assert "neighbours" not in describe(system_4(None))
