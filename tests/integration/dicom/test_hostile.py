"""Damaged and hostile files end in named errors, within 512 MB.

``EDGE_DICOM_FUZZ`` is the number of files with damaged headers; a full run has 10,000.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.errors import DicomError
from tests.dicom_objects import HTJ2K_LOSSLESS, JPEG_LS, LOSSLESS_SV1, RLE, can_write, file_of, image, meant
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


@pytest.mark.slow
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", LOSSLESS_SV1, HTJ2K_LOSSLESS])
def test_the_largest_frame_is_read_within_the_memory(syntax: str, tmp_path: Path) -> None:
    """5,700 × 5,800 pixels of 12 bits, 66 MB: the largest that is accepted."""
    if not can_write(syntax):
        pytest.skip("no dcmtk")
    values = (np.random.default_rng(0).integers(0, 4096, (5700, 5800))).astype(np.uint16)
    path = tmp_path / "x.dcm"
    path.write_bytes(file_of(image(values, BitsStored=12, WindowCenter=2048, WindowWidth=4096), syntax))
    program = (
        "import resource\nfrom edge_runtime.dicom.dataset import read_dataset\n"
        "from edge_runtime.dicom.isolation import end_decoder\nfrom edge_runtime.dicom.pixels import image_of\n"
        "from tests.dicom_specs import ANYTHING\nfrom tests.integration.dicom.fuzz import peak_mb\n"
        f"print(image_of(read_dataset({str(path)!r}), ANYTHING).pixels.shape)\nend_decoder()\n"
        "print([peak_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    shape, peaks = done.stdout.splitlines()
    print(peaks)
    assert shape == "(5700, 5800)"
    assert max(json.loads(peaks)) < MOST_MB
