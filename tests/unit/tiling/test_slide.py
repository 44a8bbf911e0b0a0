"""A slide is its tiles, each answered as if it came alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.bundle import Bundle, find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.bundle.policy import CaseRule
from edge_runtime.cli.tiles import MOST_SHOWN, TileRequest, card, run_tiles
from edge_runtime.decision.case import decide_case
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import ImageSizeError, UsageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import read
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.predictor import Predictor
from edge_runtime.preprocessing.steps import MinMax, Resize
from edge_runtime.tiling.batch import BATCH
from edge_runtime.tiling.overlay import draw, overlay_png
from edge_runtime.tiling.prediction import grid_of
from edge_runtime.tiling.slide import NO_RULE, SlidePrediction
from tests.system_4 import BUNDLE

ROWS, COLUMNS, SIDE = 5, 9, 50
assert ROWS * COLUMNS > BATCH


def slide_pixels() -> np.ndarray:
    """5×9 tiles, darker to the right and rougher downwards, and half a tile more on two sides; uint8 BGR."""
    rng = np.random.default_rng(93)
    height, width = ROWS * SIDE + 25, COLUMNS * SIDE + 25
    ground = np.linspace(250, 60, width)[np.newaxis, :, np.newaxis] * np.array([0.9, 0.75, 1.0])
    grain = rng.normal(0, 1, (height, width, 3)) * np.linspace(0, 12, height)[:, np.newaxis, np.newaxis]
    return (ground + grain).clip(0, 255).astype(np.uint8)


def changed(**policy: object) -> Bundle:
    """System 4 with another policy; its files are the same."""
    bundle = find(BUNDLE)
    spec = bundle.manifest.spec
    spec = dataclasses.replace(spec, policy=dataclasses.replace(spec.policy, **policy))  # type: ignore[arg-type]
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, spec=spec, guard_band=0.1))


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    """With a cut-off among this slide's scores, and a wide band, so that all answers occur."""
    with Predictor(changed(cutoff=0.4, confidence_floor=0.65), Runtime.LITERT, Precision.INT8, 1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def slide(predictor: Predictor) -> SlidePrediction:
    return predictor.predict_tiles(slide_pixels(), order=ColourOrder.BGR, workers=2)


def test_each_tile_has_the_answer_that_it_gets_alone(predictor: Predictor, slide: SlidePrediction) -> None:
    pixels = slide_pixels()
    assert len(slide.tiles) == ROWS * COLUMNS
    for tile in slide.tiles:
        cut = pixels[tile.y_px : tile.y_px + SIDE, tile.x_px : tile.x_px + SIDE]
        verdict = predictor.predict(cut, order=ColourOrder.BGR).verdict
        assert (tile.score, tile.confidence) == (verdict.score, verdict.confidence), tile
        assert (tile.decision, tile.reason) == (verdict.decision, verdict.reason), tile
        assert slide.scores[tile.y_px // SIDE, tile.x_px // SIDE] == np.float32(verdict.score)
    assert 0 < slide.reruns < len(slide.tiles)
    assert {tile.decision for tile in slide.tiles} == set(Decision)
    assert slide.scores.dtype == np.float32 and slide.scores.shape == (ROWS, COLUMNS)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(predictor: Predictor, slide: SlidePrediction, workers: int) -> None:
    found = predictor.predict_tiles(slide_pixels(), order=ColourOrder.BGR, workers=workers)
    assert found.tiles == slide.tiles
    assert np.array_equal(found.scores, slide.scores)


def test_what_is_called_between_batches_may_end_the_call(predictor: Predictor) -> None:
    calls: list[int] = []

    def between() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyError

    pixels = np.tile(slide_pixels(), (3, 3, 1))
    with pytest.raises(KeyError):
        predictor.predict_tiles(pixels, workers=1, between=between)
    assert 2 <= len(calls) < len(pixels) // SIDE * (pixels.shape[1] // SIDE) / BATCH


def test_tiles_over_the_edge_are_left_out_and_counted(predictor: Predictor, slide: SlidePrediction) -> None:
    assert (slide.grid.rows, slide.grid.columns) == (ROWS, COLUMNS)
    assert slide.grid.left_out == (ROWS + 1) * (COLUMNS + 1) - ROWS * COLUMNS
    whole = predictor.predict_tiles(slide_pixels()[: ROWS * SIDE, : COLUMNS * SIDE], order=ColourOrder.BGR)
    assert whole.grid.left_out == 0
    assert whole.tiles == slide.tiles


@pytest.mark.parametrize("stride", [20, 50, 80])
def test_a_stride_moves_the_places(predictor: Predictor, stride: int) -> None:
    image = read(slide_pixels()[:130, :200])
    grid = grid_of(image, predictor.spec, stride)
    every = [(x, y) for y in range(0, 130, stride) for x in range(0, 200, stride)]
    inside = [(x, y) for x, y in every if x + SIDE <= 200 and y + SIDE <= 130]
    assert [grid.place(i) for i in range(grid.rows * grid.columns)] == inside
    assert grid.left_out == len(every) - len(inside)
    assert len(predictor.predict_tiles(image, stride_px=stride).tiles) == len(inside)


def test_tiles_have_the_side_that_the_spec_states() -> None:
    """A network that enlarges its images gets tiles of their size, not of its input."""
    bundle = changed()
    spec = dataclasses.replace(bundle.manifest.spec, tile_px=30)
    bundle = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, spec=spec))
    pixels = slide_pixels()[:70, :100]
    with Predictor(bundle, Runtime.LITERT, Precision.INT8, 1) as enlarging:
        found = enlarging.predict_tiles(pixels, order=ColourOrder.BGR)
        assert (found.grid.rows, found.grid.columns, found.grid.step_px) == (2, 3, (30, 30))
        for tile in found.tiles:
            cut = pixels[tile.y_px : tile.y_px + 30, tile.x_px : tile.x_px + 30]
            assert tile.score == enlarging.predict(cut, order=ColourOrder.BGR).verdict.score


def test_without_a_case_rule_none_is_made_up(slide: SlidePrediction) -> None:
    assert slide.case is None
    assert slide.to_dict()["decision"] is None
    assert slide.to_dict()["reason"] == NO_RULE


@pytest.mark.parametrize("count", [1, 40])
def test_the_case_rule_decides_on_the_whole(slide: SlidePrediction, count: int) -> None:
    rule = CaseRule(confidence=0.6, count=count)
    bundle = changed(cutoff=0.4, confidence_floor=0.65, case=rule)
    with Predictor(bundle, Runtime.LITERT, Precision.INT8, 1) as ruled:
        found = ruled.predict_tiles(slide_pixels(), order=ColourOrder.BGR)
    expected = decide_case([t.decision for t in slide.tiles], [t.confidence for t in slide.tiles], rule)
    assert found.case == expected
    assert found.to_dict()["reason"] == expected.reason.value


def test_a_tile_that_cannot_be_prepared_leaves_a_hole() -> None:
    """A min-max stretch of one single value is undefined; its neighbours are answered."""
    bundle = changed()
    spec = bundle.manifest.spec
    resize = next(i for i, step in enumerate(spec.steps) if isinstance(step, Resize))
    spec = dataclasses.replace(spec, steps=(*spec.steps[: resize + 1], MinMax(0.0, 1.0)))
    bundle = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, spec=spec))
    pixels = slide_pixels()[:100, :150].copy()
    pixels[50:100, 50:100] = 200
    with Predictor(bundle, Runtime.LITERT, Precision.INT8, 1) as stretching:
        found = stretching.predict_tiles(pixels)
    assert [(f.x_px, f.y_px, f.error.code) for f in found.failures] == [(50, 50, "image_blank")]
    assert np.argwhere(np.isnan(found.scores)).tolist() == [[1, 1]]
    assert len(found.tiles) == 5
    assert draw(read(pixels), found).dtype == np.uint8


def test_a_slide_without_room_for_one_tile_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ImageSizeError, match="found 40x300 px, expected at least one tile of 50x50 px") as caught:
        predictor.predict_tiles(np.zeros((300, 40, 3), np.uint8))
    assert caught.value.code == "image_too_small"


def test_a_slide_obeys_the_limit_of_all_images(predictor: Predictor) -> None:
    with pytest.raises(ImageSizeError) as caught:
        predictor.predict_tiles(np.broadcast_to(np.uint8(0), (9000, 9000)))
    assert caught.value.code == "image_too_large"


def test_a_stride_of_nothing_cannot_be_used(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="stride of 0 px"):
        predictor.predict_tiles(slide_pixels(), stride_px=0)


def test_the_map_outlines_regions_of_positive_tiles(predictor: Predictor, slide: SlidePrediction) -> None:
    """Two regions: four tiles around their common corner, and one alone. No line crosses the inside of a region."""
    decoded = read(slide_pixels(), order=ColourOrder.BGR)
    found = {(1, 1), (1, 2), (2, 1), (2, 2), (3, 6)}
    tiles = tuple(
        dataclasses.replace(
            tile,
            decision=Decision.POSITIVE if (tile.y_px // SIDE, tile.x_px // SIDE) in found else Decision.NEGATIVE,
        )
        for tile in slide.tiles
    )
    marked = dataclasses.replace(slide, tiles=tiles)
    bare = dataclasses.replace(marked, tiles=tuple(dataclasses.replace(t, decision=Decision.REFER) for t in tiles))
    image = cv2.imdecode(np.frombuffer(overlay_png(decoded, marked), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(image, draw(decoded, marked))
    drawn = draw(decoded, bare)
    legend = 16 + decoded.pixels.shape[0] * 1200 // decoded.pixels.shape[1]
    lines = (image[:legend] != drawn[:legend]).any(axis=2)

    def inside(row: float, column: float) -> tuple[int, int]:
        factor = 1200 / decoded.pixels.shape[1]
        return 16 + round(row * SIDE * factor), 16 + round(column * SIDE * factor)

    for row, column in found:
        (top, left), (below, right) = inside(row, column), inside(row + 1, column + 1)
        middle_y, middle_x = inside(row + 0.5, column + 0.5)
        sides = {
            (row - 1, column): lines[top - 2 : top + 3, middle_x],
            (row + 1, column): lines[below - 3 : below + 2, middle_x],
            (row, column - 1): lines[middle_y, left - 2 : left + 3],
            (row, column + 1): lines[middle_y, right - 3 : right + 2],
        }
        for beside, line in sides.items():
            assert line.any() == (beside not in found), (row, column, beside)
        assert not lines[middle_y, middle_x]
    assert lines.any(axis=0).sum() < lines.shape[1] // 2


def test_the_command_writes_map_scores_and_json(
    predictor: Predictor, slide: SlidePrediction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, drawn, scores = (tmp_path / name for name in ("slide.png", "map.png", "scores.npy"))
    cv2.imwrite(str(source), slide_pixels())
    run_tiles(predictor, TileRequest(str(source), drawn, scores, as_json=True))
    found = json.loads(capsys.readouterr().out)
    expected = json.loads(json.dumps(slide.to_dict())) | {"image": str(source), "ms": found["ms"]}
    assert found == expected
    assert [(p["x"], p["y"]) for p in found["positive"]] == [(t.x_px, t.y_px) for t in slide.positive]
    assert np.array_equal(np.load(scores), slide.scores)
    assert cv2.imread(str(drawn)) is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.png", "scores.npy", "slide.png"]


def test_the_command_shows_counts_and_why_there_is_no_decision(
    predictor: Predictor, slide: SlidePrediction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "slide.png"), slide_pixels())
    run_tiles(predictor, TileRequest(str(tmp_path / "slide.png")))
    text = capsys.readouterr().out
    assert f"{len(slide.positive)} POSITIVE" in text
    assert f"{slide.reruns} decided by the float32 file" in text
    assert "this model's policy has no rule for it" in text
    assert Reason.PRECISION_RERUN in {tile.reason for tile in slide.tiles}


def test_of_many_positive_tiles_the_highest_scores_are_listed(slide: SlidePrediction) -> None:
    tiles = tuple(dataclasses.replace(tile, decision=Decision.POSITIVE) for tile in slide.tiles)
    lines = card(dataclasses.replace(slide, tiles=tiles)).splitlines()
    listed = [float(line.split()[-1]) for line in lines if line.startswith("          x ")]
    assert listed == [round(score, 4) for score in sorted((t.score for t in tiles), reverse=True)[:MOST_SHOWN]]
    assert f"          and {len(tiles) - MOST_SHOWN} more, which --json and --geojson list" in lines
    few = card(dataclasses.replace(slide, tiles=tiles[:MOST_SHOWN])).splitlines()
    assert f"positive  {MOST_SHOWN}" in few and not any("more, which" in line for line in few)


def test_the_command_names_what_it_cannot_read_or_write(
    predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_tiles(predictor, TileRequest("missing.png", as_json=True))
    assert caught.value.code == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "image_not_found"
    cv2.imwrite(str(tmp_path / "slide.png"), slide_pixels())
    with pytest.raises(UsageError, match="cannot be written"):
        run_tiles(predictor, TileRequest(str(tmp_path / "slide.png"), tmp_path))
    monkeypatch.setattr(predictor, "predict_tiles", None)  # a folder that is not there is told before the work
    with pytest.raises(UsageError, match="found no folder"):
        run_tiles(predictor, TileRequest(str(tmp_path / "slide.png"), tmp_path / "nowhere" / "map.png"))
