"""A whole slide gets the answers of the PNG of the same pixels, whatever the format and the number of workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from edge_runtime import Predictor, SlidePrediction, UsageError, open_slide
from edge_runtime.errors import ImageScaleError, SlideError
from edge_runtime.slides.recognition import UNREAD
from edge_runtime.tiling.slide import SLIDE_SCHEMA
from tests.integration.slides.layouts.dicom import write_dicom
from tests.integration.slides.layouts.drawing import Pixels, tissue
from tests.integration.slides.layouts.tiff import cut_short, damage, write_ome, write_svs, write_tiled

HEIGHT, WIDTH = 416, 628
FORMATS: dict[str, Callable[[Path, Pixels], Path]] = {
    "svs": lambda folder, pixels: write_svs(folder / "a.svs", [pixels, pixels[::4, ::4]]),
    "svs whose levels are no whole part": lambda folder, pixels: write_svs(
        folder / "a.svs", [pixels, pixels[::4, ::4][:103, :156]]
    ),
    "svs by OpenSlide": lambda folder, pixels: write_svs(
        folder / "a.svs", [pixels, pixels[::4, ::4]], compression=None
    ),
    "tiled by OpenSlide": lambda folder, pixels: write_tiled(folder / "a.tif", [pixels], compression="lzw"),
    "tiled": lambda folder, pixels: write_tiled(folder / "a.tif", [pixels, pixels[::2, ::2]]),
    "ome": lambda folder, pixels: write_ome(folder / "a.ome.tif", [pixels, pixels[::2, ::2]]),
    "dicom": lambda folder, pixels: write_dicom(folder, [pixels]),
}


def png(folder: Path, pixels: Pixels) -> Path:
    path = folder / "same.png"
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path


def answers(found: SlidePrediction) -> tuple[object, ...]:
    return found.tiles, found.scores.tobytes(), found.case, found.grid, [(f.x_px, f.y_px) for f in found.failures]


def of_slide(predictor: Predictor, path: Path, workers: int = 2, **options: Any) -> SlidePrediction:
    with open_slide(path, predictor.spec.microns_per_pixel, **options) as slide:
        return predictor.predict_tiles(slide.image, workers=workers)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_slide_has_the_bits_of_the_png_of_its_pixels(kind: str, predictor: Predictor, tmp_path: Path) -> None:
    if kind == "dicom":
        pytest.importorskip("pydicom")
    pixels = tissue(HEIGHT, WIDTH)
    expected = predictor.predict_tiles(png(tmp_path, pixels))
    path = FORMATS[kind](tmp_path, pixels)
    found = of_slide(predictor, path, white=True)
    assert answers(found) == answers(expected)
    assert len({tile.decision for tile in found.tiles}) > 1
    assert found.microns_per_pixel == pytest.approx(4.0) and found.reading is not None
    assert (found.reading.level, found.reading.factor_256, found.reading.exact) == (0, 256, True)
    for workers in (1, 3):
        assert answers(of_slide(predictor, path, workers, white=True)) == answers(expected)


def test_tiles_are_read_square_by_square_and_told_row_by_row(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = tissue(HEIGHT, WIDTH)
    path = damage(write_tiled(tmp_path / "a.tif", [pixels]), 0, 1)
    expected = of_slide(predictor, path)
    monkeypatch.setattr("edge_runtime.tiling.prediction._SQUARE_PX", 100)
    found = of_slide(predictor, path)
    assert answers(found) == answers(expected) and found.failures
    places = [(tile.y_px, tile.x_px) for tile in found.tiles]
    assert places == sorted(places)


@pytest.mark.parametrize("compression", ["zlib", "jpeg", None])
def test_a_level_that_is_no_whole_part_is_read_as_it_is_stored(compression: str | None, tmp_path: Path) -> None:
    fine = cv2.blur(tissue(1039, 1299), (9, 9))
    coarse = np.ascontiguousarray(fine[::4, ::4][:259, :324])  # 1039 / 259 is 4.01
    path = write_svs(tmp_path / "a.svs", [fine, coarse], 1.0, compression=compression)
    with open_slide(path, 4.0, white=True) as slide:
        assert (slide.reading.level, slide.reading.factor_256, slide.reading.exact) == (1, 256, True)
        found = slide.image.pixels[111:211, 207:307]
    if compression == "jpeg":
        assert np.abs(found.astype(int) - coarse[111:211, 207:307]).mean() < 4
    else:
        assert np.array_equal(found, coarse[111:211, 207:307])


def test_neighbours_are_averaged_as_in_the_png(model: Path, tmp_path: Path) -> None:
    manifest = json.loads((model / "bundle.json").read_text())
    manifest["spec"]["policy"]["neighbours"] = 0.5
    (model / "bundle.json").write_text(json.dumps(manifest))
    pixels = tissue(HEIGHT, WIDTH)
    with Predictor.load(model) as averaging:
        expected = averaging.predict_tiles(png(tmp_path, pixels))
        found = of_slide(averaging, write_tiled(tmp_path / "a.tif", [pixels]), white=True)
    assert found.neighbours == 0.5 and answers(found) == answers(expected)


@pytest.mark.parametrize("write, name", [(write_svs, "a.svs"), (write_ome, "a.ome.tif")])
def test_a_finer_slide_is_averaged_from_the_next_finer_level(
    write: Callable[..., Path], name: str, predictor: Predictor, tmp_path: Path
) -> None:
    fine = tissue(4 * 208, 4 * 314)
    half = fine.reshape(416, 2, 628, 2, 3).astype(np.int64).sum(axis=(1, 3))
    level = ((2 * half + 4) // 8).astype(np.uint8)
    path = write(tmp_path / name, [fine, level], 1.0)  # 1 and 2 microns per pixel; 4 is twice the second
    sums = level.reshape(208, 2, 314, 2, 3).astype(np.int64).sum(axis=(1, 3))
    expected = predictor.predict_tiles(png(tmp_path, ((2 * sums + 4) // 8).astype(np.uint8)))
    found = of_slide(predictor, path, white=True)
    assert found.reading is not None and (found.reading.level, found.reading.factor_256) == (1, 512)
    assert answers(found) == answers(expected)
    assert found.level_0(50) == 200.0


def test_white_tiles_are_left_out_and_counted_and_the_others_keep_their_answers(
    predictor: Predictor, tmp_path: Path
) -> None:
    pixels = tissue(HEIGHT, WIDTH)
    pixels[90:310, 140:420] = 242
    path = write_tiled(tmp_path / "a.tif", [pixels])
    all_tiles, found = of_slide(predictor, path, white=True), of_slide(predictor, path)
    inside = {(x, y) for x in range(150, 400, 50) for y in range(100, 300, 50)}
    assert found.white == len(inside) == 20 and all_tiles.white is None
    assert found.tiles == tuple(tile for tile in all_tiles.tiles if (tile.x_px, tile.y_px) not in inside)
    assert np.isnan(found.scores).sum() == 20


def test_a_slide_of_glass_alone_has_no_tiles_and_is_referred(predictor: Predictor, tmp_path: Path) -> None:
    found = of_slide(predictor, write_tiled(tmp_path / "a.tif", [np.full((300, 300, 3), 245, np.uint8)]))
    assert (found.white, found.tiles) == (36, ())
    assert found.case is not None and found.case.decision.value == "REFER"


def test_a_slide_without_a_scale_is_refused_until_it_is_stated(predictor: Predictor, tmp_path: Path) -> None:
    pixels = tissue(HEIGHT, WIDTH)
    for write, name in ((write_svs, "a.svs"), (write_tiled, "a.tif"), (write_ome, "a.ome.tif")):
        path = write(tmp_path / name, [pixels], None)
        with pytest.raises(SlideError, match="State it with --mpp") as caught:
            open_slide(path, 4.0)
        assert caught.value.code == "slide_without_scale"
        found = of_slide(predictor, path, white=True, microns_per_pixel=4.0)
        assert found.reading is not None and found.reading.stated
        assert answers(found) == answers(predictor.predict_tiles(png(tmp_path, pixels)))


def test_another_scale_than_the_models_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    path = write_tiled(tmp_path / "a.tif", [tissue(HEIGHT, WIDTH)], 5.0)
    with pytest.raises(SlideError, match="would invent tissue") as caught:
        open_slide(path, 4.0)
    assert caught.value.code == "slide_too_coarse"
    with open_slide(path, 5.0) as slide, pytest.raises(ImageScaleError):
        predictor.predict_tiles(slide.image)
    with pytest.raises(UsageError) as usage:
        open_slide(path, None)
    assert usage.value.code == "slide_model_without_scale"


@pytest.mark.parametrize("write, name", [(write_tiled, "a.tif"), (write_svs, "a.svs"), (write_ome, "a.ome.tif")])
@pytest.mark.parametrize("workers", [1, 3])
def test_damaged_tiles_are_refused_by_their_place_and_the_rest_is_answered(
    write: Callable[..., Path], name: str, workers: int, predictor: Predictor, tmp_path: Path
) -> None:
    pixels = tissue(600, 800)
    path = write(tmp_path / name, [pixels, pixels[::4, ::4]])
    whole = of_slide(predictor, path, white=True)
    damage(path, 0, 5)  # x 256 to 512, y 256 to 512
    found = of_slide(predictor, path, workers)
    over = {(x, y) for x in range(250, 512, 50) for y in range(250, 512, 50)}
    assert {(f.x_px, f.y_px) for f in found.failures} == over
    assert {f.error.code for f in found.failures} == {"slide_tile_damaged"}
    assert found.tiles == tuple(tile for tile in whole.tiles if (tile.x_px, tile.y_px) not in over)


def test_a_damaged_file_and_an_unknown_one_are_refused(tmp_path: Path) -> None:
    good = write_tiled(tmp_path / "a.tif", [tissue(HEIGHT, WIDTH)])
    for number, content in enumerate((good.read_bytes()[:2000], b"nothing known", b"")):
        path = tmp_path / f"{number}.svs"
        path.write_bytes(content)
        with pytest.raises(SlideError) as caught:
            open_slide(path, 4.0)
        assert caught.value.code in ("slide_unreadable", "slide_format"), content[:10]
    tifffile.imwrite(tmp_path / "grey.ome.tif", tissue(300, 300)[..., 0], tile=(64, 64))
    with pytest.raises(SlideError, match="expected tiles of RGB with 8 bits") as caught:
        open_slide(tmp_path / "grey.ome.tif", 4.0)
    assert caught.value.code == "slide_format"


@pytest.mark.parametrize("suffix", UNREAD)
def test_a_slide_that_no_library_reads_is_refused_by_its_name(
    suffix: str, edge_predict: Any, model: Path, tmp_path: Path
) -> None:
    """A VSI file is a TIFF file with overviews of the glass, which must not be answered."""
    path = tmp_path / f"A{suffix.upper()}"
    tifffile.imwrite(path, tissue(HEIGHT, WIDTH), photometric="rgb", resolution=(2500, 2500), resolutionunit=3)
    with pytest.raises(
        SlideError, match=r"cannot be read here, .* Export it .* as DICOM, or as RGB OME-TIFF"
    ) as caught:
        open_slide(path, 4.0)
    assert caught.value.code == "slide_format"
    result = edge_predict("--model", model, "--tiles", path, "--mpp", "4")
    assert result.exit_code == 1 and "[slide_format]" in result.output and UNREAD[suffix] in result.output


@pytest.mark.parametrize("write, name", [(write_svs, "a.svs"), (write_tiled, "a.tif"), (write_ome, "a.ome.tif")])
def test_tiles_that_hold_jpeg_are_close_to_their_pixels_and_damage_is_found(
    write: Callable[..., Path], name: str, predictor: Predictor, tmp_path: Path
) -> None:
    pixels = cv2.blur(tissue(HEIGHT, WIDTH), (9, 9))
    path = write(tmp_path / name, [pixels], compression="jpeg")
    with open_slide(path, 4.0, white=True) as slide:
        found = slide.image.pixels[30:300, 40:400]
    assert np.abs(found.astype(int) - pixels[30:300, 40:400]).max() < 40
    assert np.abs(found.astype(int) - pixels[30:300, 40:400]).mean() < 4
    cut_short(path, 1)
    failures = of_slide(predictor, path, white=True).failures
    assert failures and {f.x_px for f in failures} <= set(range(250, 512, 50))


def test_a_missing_extra_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = write_tiled(tmp_path / "a.tif", [tissue(HEIGHT, WIDTH)])
    for module in [name for name in sys.modules if name.startswith(("openslide", "edge_runtime.slides.open"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(UsageError, match=r'pip install "edge-predict\[slides\]"') as caught:
        open_slide(path, 4.0)
    assert caught.value.code == "slide_package_missing"


def test_the_json_form_has_places_of_the_finest_level(predictor: Predictor, tmp_path: Path) -> None:
    pixels = np.kron(tissue(208, 314), np.ones((2, 2, 1), np.uint8))
    path = write_tiled(tmp_path / "a.tif", [pixels], 2.0)
    damage(path, 0, 0)
    found = of_slide(predictor, path)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["schema"] == SLIDE_SCHEMA and told["microns_per_pixel"] == 4.0
    assert told["slide"] == {
        "level": 0,
        "level_0_microns_per_pixel": 2.0,
        "microns_from": "file",
        "level_0_px": 2.0,
        "factor_256": 512,
        "exact": True,
        "white": 0,
    }
    assert [(each["x"], each["y"]) for each in told["positive"]] == [(2 * t.x_px, 2 * t.y_px) for t in found.positive]
    assert [(each["x"], each["y"]) for each in told["failures"]][:2] == [(0.0, 0.0), (100.0, 0.0)]
    assert {each["error"]["code"] for each in told["failures"]} == {"slide_tile_damaged"}
