"""A limit that stands in docs/reference/images.md: the largest that is taken, and one more."""

from __future__ import annotations

import re

import pytest

from edge_runtime.errors import ImageError
from edge_runtime.images.formats import inspect
from edge_runtime.images.formats.header import ImageFormat
from tests.places import ROOT
from tests.unit.images import hostile_files as make

IMAGES = ROOT / "docs" / "reference" / "images.md"
MOST_SCANS = 100


def jpeg_of(scans: int) -> bytes:
    """A progressive JPEG of so many scans, counted by markers; its last one is repeated."""

    def count(data: bytes) -> int:
        return sum(data[at + 1] == 0xDA for at in make.segments(data))

    data = make.many_scans(scans - count(make.many_scans(0)))
    assert count(data) == scans
    return data


def test_a_jpeg_of_a_hundred_scans_is_taken_and_one_of_a_hundred_and_one_is_not() -> None:
    assert f"a JPEG of more than {MOST_SCANS} scans" in re.sub(r"\s+", " ", IMAGES.read_text(encoding="utf-8"))
    assert inspect(jpeg_of(MOST_SCANS), "whole").format is ImageFormat.JPEG  # the decoder comes later
    for more in (MOST_SCANS + 1, MOST_SCANS + 2):
        with pytest.raises(ImageError, match="more than 100 scans") as caught:
            inspect(jpeg_of(more), "more")
        assert caught.value.code == "image_format"
