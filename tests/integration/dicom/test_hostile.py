"""Damaged and hostile files end in named errors, within 512 MB.

``EDGE_DICOM_FUZZ`` is the number of files with damaged headers; a full run has 10,000.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.errors import DicomError
from tests.dicom_objects import (
    HTJ2K_LOSSLESS,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS_SV1,
    RLE,
    can_write,
    file_of,
    image,
    meant,
    saved,
)
from tests.dicom_specs import ANYTHING
from tests.integration.dicom.fuzz import attempt
from tests.places import ROOT

COUNT = int(os.environ.get("EDGE_DICOM_FUZZ", "600"))
MOST_MB = 512


def test_files_with_damaged_headers_are_read_or_refused_by_name(seeds: Path) -> None:
    program = [sys.executable, "-m", "tests.integration.dicom.fuzz", str(seeds), "104", str(COUNT)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    print(told)
    assert sum(told["found"].values()) == COUNT
    assert told["peak_mb"] + told["decoder_mb"] < MOST_MB
    assert all(code == "read" or code.startswith(("dicom_", "image_")) for code in told["found"])


def test_damage_that_ends_a_decoder_ends_no_more_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that decodes is killed between two frames; the next one starts another."""
    from edge_runtime.dicom import isolation

    if not can_write(LOSSLESS_SV1):
        pytest.skip("no dcmtk")
    data = file_of(image(meant()), LOSSLESS_SV1)
    assert attempt(data, ANYTHING) == "read"
    process = isolation._DECODER._process
    assert process is not None
    process.kill()
    process.wait()
    assert attempt(data, ANYTHING) in ("dicom_decoding", "read")
    assert attempt(data, ANYTHING) == "read"


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS_SV1, JPEG_LS])
def test_false_rows_are_refused_before_a_decoder_sees_them(syntax: str) -> None:
    if not can_write(syntax):
        pytest.skip("no dcmtk")
    dataset = read_dataset(file_of(image(meant()), syntax))
    dataset.Rows = 8000
    with pytest.raises(DicomError) as caught:
        image_of(dataset, ANYTHING)
    assert caught.value.code == "dicom_size_wrong"


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS_SV1, JPEG_LS])
def test_a_frame_that_was_cut_is_refused(syntax: str) -> None:
    if not can_write(syntax):
        pytest.skip("no dcmtk")
    dataset = read_dataset(file_of(image(meant()), syntax))
    whole = dataset.PixelData
    for share in (0.3, 0.6, 0.9):
        keep = int(len(whole) * share)
        dataset.PixelData = whole[:keep] + bytes(len(whole) - 8 - keep) + whole[-8:]
        with pytest.raises(DicomError) as caught:
            image_of(dataset, ANYTHING)
        assert caught.value.code in ("dicom_decoding", "dicom_size_wrong")


LARGEST = {"grey": (5700, 5800), "colour": (4700, 4700)}
"""The largest frames that are accepted: 16 bits grey, and 8 bits in colour, 66 MB each."""


def hostile_frame(kind: str, *, smallest_blocks: bool = False, padded: int = 0) -> bytes:
    """A file with a black JPEG 2000 frame, whose header may ask for millions of code blocks, or that is padded."""
    shape = LARGEST[kind]
    black = np.zeros(shape, np.uint16) if kind == "grey" else np.zeros((*shape, 3), np.uint8)
    options = {"level": 0, "reversible": True, "codecformat": "j2k", "mct": kind == "colour"}
    frame = bytearray(imagecodecs.jpeg2k_encode(black, **options))
    if smallest_blocks:  # 4 x 4 samples (T.800 table A.18): each takes hundreds of bytes
        coding = frame.index(b"\xff\x52")
        frame[coding + 10 : coding + 12] = b"\0\0"
    if padded:
        tile = frame.index(b"\xff\x90")
        (length,) = struct.unpack_from(">I", frame, tile + 6)
        struct.pack_into(">I", frame, tile + 6, length + padded)
        frame[tile + length : tile + length] = bytes(padded)
    dataset = image(black[:2, :2], WindowCenter=100, WindowWidth=200)
    dataset.Rows, dataset.Columns = shape
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    if kind == "colour":
        dataset.PhotometricInterpretation = "YBR_RCT"
        del dataset.WindowCenter, dataset.WindowWidth
    return saved(dataset, JPEG_2000)


def read_apart(path: Path) -> tuple[str, list[float]]:
    """Read a file in a process of its own: ``read`` or the code, and the peaks of process and decoder in MB."""
    program = (
        "import json, resource\nfrom edge_runtime.dicom.isolation import end_decoder\n"
        "from tests.dicom_specs import ANYTHING\nfrom tests.integration.dicom.fuzz import attempt, peak_mb\n"
        f"print(attempt(open({str(path)!r}, 'rb').read(), ANYTHING))\nend_decoder()\n"
        "print([peak_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    code, peaks = done.stdout.splitlines()
    print(code, peaks)
    return code, json.loads(peaks)


@pytest.mark.parametrize("kind", LARGEST)
def test_a_hostile_header_of_the_largest_frame_is_refused_within_the_memory(kind: str, tmp_path: Path) -> None:
    """Process and decoder together. Without a limit, this header of 900 bytes makes OpenJPEG take gigabytes."""
    path = tmp_path / "x.dcm"
    path.write_bytes(hostile_frame(kind, smallest_blocks=True))
    code, peaks = read_apart(path)
    assert code == "dicom_decoding"
    assert sum(peaks) < MOST_MB


def test_a_frame_that_would_take_too_much_is_refused_before_a_decoder_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(hostile_frame("colour", padded=30 << 20))
    code, (reader, decoder) = read_apart(path)
    assert code == "dicom_too_large"
    assert reader < MOST_MB and decoder == 0


@pytest.mark.slow
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", LOSSLESS_SV1, JPEG_LS, JPEG_2000, HTJ2K_LOSSLESS])
def test_the_largest_frame_is_read_within_the_memory(syntax: str, tmp_path: Path) -> None:
    """5,700 × 5,800 pixels of 12 bits, 66 MB: the largest that is accepted. Noise compresses worst."""
    if not can_write(syntax):
        pytest.skip("no dcmtk")
    values = (np.random.default_rng(0).integers(0, 4096, LARGEST["grey"])).astype(np.uint16)
    path = tmp_path / "x.dcm"
    path.write_bytes(file_of(image(values, BitsStored=12, WindowCenter=2048, WindowWidth=4096), syntax))
    code, peaks = read_apart(path)
    assert code == "read"
    assert max(peaks) < MOST_MB
