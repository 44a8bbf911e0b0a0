"""Slides are told from ordinary images by name and first bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from edge_runtime.slides.recognition import SUFFIXES, is_slide

PIXELS = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_file_in_tiles_is_a_slide_and_one_in_strips_is_not(tmp_path: Path, order: str) -> None:
    tifffile.imwrite(tmp_path / "tiles.tif", PIXELS, tile=(32, 32), photometric="rgb", byteorder=order)
    tifffile.imwrite(tmp_path / "big.tif", PIXELS, bigtiff=True, photometric="rgb", byteorder=order)
    tifffile.imwrite(tmp_path / "strips.tif", PIXELS, photometric="rgb", byteorder=order)
    assert is_slide(str(tmp_path / "tiles.tif")) and is_slide(str(tmp_path / "big.tif"))
    assert not is_slide(str(tmp_path / "strips.tif"))


def test_ordinary_images_and_what_is_no_file_are_no_slides(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.bmp", "a.webp"):
        cv2.imwrite(str(tmp_path / name), PIXELS)
        assert not is_slide(str(tmp_path / name))
    for name, content in (
        ("empty.tif", b""),
        ("short.tif", b"II*\0\xff\xff\xff\xff"),
        ("half.tif", b"II*\0\x08\0\0\0\x01"),
    ):
        (tmp_path / name).write_bytes(content)
        assert not is_slide(str(tmp_path / name))
    (tmp_path / "folder.svs").mkdir()
    for path in (tmp_path / "folder.svs", tmp_path / "missing.svs", "a\0b.svs"):
        assert not is_slide(str(path))


def test_suffixes_of_vendors_and_dicom_are_slides(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        (tmp_path / f"A{suffix.upper()}").write_bytes(b"?")
        assert is_slide(str(tmp_path / f"A{suffix.upper()}"))
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    assert is_slide(str(tmp_path / "IM0001"))
