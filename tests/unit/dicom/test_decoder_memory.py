"""The memory that a frame may take to decode is known before, and bounded for JPEG 2000."""

from __future__ import annotations

import io

import pytest

from edge_runtime.dicom.decoder_process import MOST_BYTES, OPENJPEG, _fragment, needed_bytes

GREY = {"rows": 5700, "columns": 5800, "samples_per_pixel": 1, "bits_allocated": 16}
COLOUR = {"rows": 4700, "columns": 4700, "samples_per_pixel": 3, "bits_allocated": 8}
MIB = 1 << 20


@pytest.mark.parametrize(
    ("frame", "encoded_mib", "fits"),
    [(GREY, 0, True), (GREY, 54, True), (GREY, 80, False), (COLOUR, 20, True), (COLOUR, 35, False)],
)
def test_the_largest_sound_frames_fit(frame: dict[str, int], encoded_mib: int, fits: bool) -> None:
    needed = needed_bytes(encoded_mib * MIB, {**frame, "decoding_plugin": OPENJPEG})
    assert (needed <= MOST_BYTES) is fits


def test_each_sample_counts_four_bytes_and_its_own() -> None:
    small, large = (
        needed_bytes(0, {**GREY, "columns": columns, "decoding_plugin": OPENJPEG}) for columns in (1000, 2000)
    )
    assert large - small == 5700 * 1000 * (4 + 2)


def test_a_frame_is_read_as_one_fragment() -> None:
    from pydicom.encaps import get_frame

    for content in (b"even", b"odd"):
        found = bytes(_fragment(io.BufferedReader(io.BytesIO(content)), len(content)))
        assert get_frame(found, 0, number_of_frames=1).rstrip(b"\0") == content
