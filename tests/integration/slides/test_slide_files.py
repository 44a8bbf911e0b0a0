"""What ``edge-predict --tiles SLIDE`` prints and writes: overlay, score map, GeoJSON, exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import shapely
import tifffile

from edge_runtime.slides.score_map import halved
from tests.integration.slides.layouts.drawing import tissue
from tests.integration.slides.layouts.tiff import damage, write_svs, write_tiled


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A slide of 2 microns per pixel with a corner of glass."""
    pixels = np.kron(tissue(616, 728), np.ones((2, 2, 1), np.uint8))
    pixels[:220, :420] = 244
    return write_svs(tmp_path / "slide.svs", [pixels, pixels[::4, ::4]], 2.0)


def test_the_command_writes_map_scores_pyramid_and_tiles(
    edge_predict: Any, model: Path, slide: Path, tmp_path: Path
) -> None:
    names = {option: tmp_path / f"out.{end}" for option, end in
             (("--map", "png"), ("--scores", "npy"), ("--ome-tiff", "ome.tif"), ("--geojson", "geojson"))}  # fmt: skip
    options = [text for pair in names.items() for text in pair]
    result = edge_predict("--model", model, "--tiles", slide, "--json", *options)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    scores = np.load(names["--scores"])
    assert told["slide"]["white"] == np.isnan(scores).sum() == 8
    assert cv2.imread(str(names["--map"])).shape[1] >= 1200
    with tifffile.TiffFile(names["--ome-tiff"]) as file:
        assert file.is_ome
        levels = [level.asarray() for level in file.series[0].levels]
        assert 'PhysicalSizeX="200.0" PhysicalSizeXUnit="µm"' in str(file.ome_metadata)
        assert all(level.keyframe.is_tiled for level in file.series[0].levels)
    assert len(levels) == 2
    np.testing.assert_array_equal(levels[0], scores)
    np.testing.assert_array_equal(levels[1], halved(scores))
    again = tmp_path / "again.ome.tif"
    edge_predict("--model", model, "--tiles", slide, "--workers", "1", "--ome-tiff", again)
    assert again.read_bytes() == names["--ome-tiff"].read_bytes(), "the same bits for any number of workers"
    check_geojson(json.loads(names["--geojson"].read_text(encoding="utf-8")), told, scores)


def check_geojson(found: dict[str, Any], told: dict[str, Any], scores: np.ndarray) -> None:
    assert found["type"] == "FeatureCollection" and len(found["features"]) == (~np.isnan(scores)).sum()
    positive = []
    for feature in found["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        (left, top), (right, _), (_, below), _, end = ring
        assert (right - left, below - top, end) == (100.0, 100.0, [left, top]), "level 0 pixels of a 50 px tile"
        properties = feature["properties"]
        assert properties["objectType"] == "tile" and len(properties["classification"]["color"]) == 3
        score = properties["measurements"]["positive score"]
        assert np.float32(score) == scores[int(top) // 100, int(left) // 100]
        if properties["classification"]["name"] == "POSITIVE":
            positive.append({"x": left, "y": top, "score": score})
    assert positive == told["positive"]


def test_another_reader_of_geojson_finds_the_grid_of_tiles(
    edge_predict: Any, model: Path, slide: Path, tmp_path: Path
) -> None:
    """QuPath cannot be installed from a package registry; its documented form is read by Shapely, which is built on
    GEOS."""
    path = tmp_path / "a.geojson"
    edge_predict("--model", model, "--tiles", slide, "--geojson", path)
    text = path.read_text(encoding="utf-8")
    found = json.loads(text)
    polygons = list(shapely.from_geojson(text).geoms)
    assert len(polygons) == len(found["features"]) > 20
    assert all(shapely.is_valid(each) and each.area == 100 * 100 for each in polygons)
    tree = shapely.STRtree(polygons)
    overlapping = [pair for pair in tree.query(polygons, predicate="overlaps").T.tolist() if pair[0] != pair[1]]
    assert not overlapping, "tiles touch and do not overlap"
    whole = shapely.unary_union(polygons)
    assert whole.bounds == (0, 0, 1400, 1200) and whole.area == len(polygons) * 100 * 100
    for feature in found["features"]:
        properties = feature["properties"]
        assert set(feature) == {"type", "geometry", "properties"} and feature["type"] == "Feature"
        assert set(properties) <= {"objectType", "classification", "isLocked", "measurements", "metadata"}
        assert properties["objectType"] == "tile" and isinstance(properties["isLocked"], bool)
        assert all(isinstance(value, float) for value in properties["measurements"].values())
        assert all(isinstance(value, str) for value in properties["metadata"].values())
        assert all(0 <= level <= 255 and isinstance(level, int) for level in properties["classification"]["color"])


def test_the_command_shows_the_scale_the_glass_and_the_places(edge_predict: Any, model: Path, slide: Path) -> None:
    result = edge_predict("--model", model, "--tiles", slide)
    lines = result.stdout.splitlines()
    assert "scale     2 microns per pixel by the file; read at 4: level 0 averaged over 2 px" in lines
    assert any(line.endswith("left out at the edges, 8 of empty glass") for line in lines)
    assert lines[-1].startswith("decision  ")
    stated = edge_predict("--model", model, "--tiles", slide, "--mpp", "4").stdout
    assert "scale     4 microns per pixel as stated; read at 4: level 0 as it is" in stated
    whole = edge_predict("--model", model, "--tiles", slide, "--white-tiles").stdout
    assert "of empty glass" not in whole


def test_damaged_tiles_end_with_status_1_after_the_rest_is_answered(
    edge_predict: Any, model: Path, tmp_path: Path
) -> None:
    path = damage(write_tiled(tmp_path / "a.tif", [tissue(600, 800)]), 0, 5)
    result = edge_predict("--model", model, "--tiles", path, "--geojson", tmp_path / "a.geojson", "--map",
                          tmp_path / "a.png")  # fmt: skip
    assert result.exit_code == 1
    assert "FAILED    x   250 y   250  [slide_tile_damaged]" in result.stdout.splitlines()
    assert "36 of the slide's tiles failed." in result.stderr
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    failed = [f["properties"] for f in features if f["properties"]["classification"]["name"] == "FAILED"]
    assert len(failed) == 36 and {each["metadata"]["error"] for each in failed} == {"slide_tile_damaged"}


def test_what_does_not_fit_is_refused(edge_predict: Any, model: Path, phantom_bundle: Path, tmp_path: Path) -> None:
    slide = write_tiled(tmp_path / "a.tif", [tissue(200, 200)], None)
    plain = tmp_path / "a.png"
    cv2.imwrite(str(plain), tissue(200, 200))
    for options, status, said in (
        (("--model", model, "--tiles", slide), 1, "[slide_without_scale]"),
        (("--model", phantom_bundle, "--tiles", slide, "--mpp", "4"), 2, "[slide_model_without_scale]"),
        (("--model", phantom_bundle, "--tiles", slide, "--mpp", "4", "--read-at", "4"), 0, "decision"),
        (("--model", model, "--tiles", slide, "--mpp", "4", "--read-at", "2"), 2, "Leave --read-at out"),
        (("--model", model, "--tiles", plain, "--read-at", "4"), 2, "found no slide file"),
        (("--model", model, "--tiles", plain, "--white-tiles"), 2, "found no slide file"),
        (("--model", model, plain, "--geojson", "a.geojson"), 2, "need --tiles SLIDE"),
        (("--model", model, "--tiles", slide, "--mpp", "40"), 1, "[slide_too_coarse]"),
        (("--model", model, "--tiles", tmp_path / "missing.svs"), 1, "[image_not_found]"),
    ):
        result = edge_predict(*options)
        assert (result.exit_code, said in result.output) == (status, True), (options, result.output)


def test_a_mosaic_as_png_gets_geojson_and_a_pyramid_too(edge_predict: Any, model: Path, tmp_path: Path) -> None:
    plain = tmp_path / "a.png"
    cv2.imwrite(str(plain), tissue(210, 260)[..., ::-1])
    bare = edge_predict("--model", model, "--tiles", plain, "--json")
    result = edge_predict(
        "--model", model, "--tiles", plain, "--json", "--geojson", tmp_path / "a.geojson", "--ome-tiff",
        tmp_path / "a.tif",
    )  # fmt: skip
    timeless = [{**json.loads(each.stdout), "ms": 0} for each in (bare, result)]
    assert timeless[0] == timeless[1] and timeless[0]["schema"] == "edge-tiles/1"
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert features[1]["geometry"]["coordinates"][0][0] == [50, 0]
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert "PhysicalSize" not in str(file.ome_metadata)


def test_a_coarser_score_is_the_mean_of_those_that_are_known() -> None:
    nan = np.nan
    scores = np.array([[0.0, 1.0, nan], [nan, 0.5, nan], [0.25, nan, 0.75]], np.float32)
    np.testing.assert_array_equal(halved(scores), np.array([[0.5, nan], [0.25, 0.75]], np.float32))
    rng = np.random.default_rng(0)
    large = rng.random((613, 301), dtype=np.float32)
    np.testing.assert_array_equal(halved(large)[300], halved(large[600:602])[0])
