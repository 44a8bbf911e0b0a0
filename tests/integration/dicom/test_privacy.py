"""No value of a data set full of marked values appears in any output: stdout, stderr, JSON, logs, warnings."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from edge_runtime import Predictor
from edge_runtime.dicom.answer import answer
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.errors import EdgeError
from tests.dicom_objects import (
    MAMMOGRAM,
    MAMMOGRAM_FOR_PROCESSING,
    ROOT,
    SHOWN,
    file_of,
    image,
    presentation_state,
    report,
    ultrasound,
)
from tests.integration.cli.test_watch_folder import Watching
from tests.places import ROOT as PROJECT

MARK = "ZQ"
TEXTS = {
    "AE": f"{MARK}AE", "AS": "087Y", "CS": f"{MARK}CS", "DA": "19770813", "DS": "77.8131", "DT": "19770813091357",
    "IS": "870013", "LO": f"{MARK}lo", "LT": f"{MARK}lt", "PN": f"{MARK}doe^jane", "SH": f"{MARK}sh",
    "ST": f"{MARK}st", "TM": "091357", "UC": f"{MARK}uc", "UR": f"{MARK}ur", "UT": f"{MARK}ut",
}  # fmt: skip
WRONG = {"DA": f"{MARK}date", "TM": f"{MARK}time", "CS": f"{MARK}cs lower", "AS": MARK}
"""Values that pydicom warns about, with the value in the warning."""

KEPT = {
    "PixelSpacing", "ImagerPixelSpacing", "BitsStored", "NumberOfFrames", "WindowCenter", "WindowWidth", "RescaleSlope",
    "RescaleIntercept", "VOILUTFunction", "PresentationLUTShape", "PhotometricInterpretation", "BurnedInAnnotation",
    "PresentationIntentType", "LossyImageCompression", "LossyImageCompressionMethod", "Modality",
    "SpecificCharacterSet", "EstimatedRadiographicMagnificationFactor", "PixelPaddingValue", "TimezoneOffsetFromUTC",
}  # fmt: skip
"""Elements that decide about pixels: with marked values the object would be another one."""


def marked(dataset: Dataset, texts: dict[str, str]) -> Dataset:
    """Fill the groups of patient, study, series, equipment and procedure with marked values."""
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        group = tag >> 16
        if group in (0x08, 0x10, 0x18, 0x20, 0x32, 0x38, 0x40) and vr in texts and not retired and keyword not in KEPT:
            if keyword in dataset or tag & 0xFFFF == 0:
                continue
            dataset.add_new(tag, vr, texts[vr])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.778131", f"{ROOT}.778132"
    dataset.SOPInstanceUID = f"{ROOT}.778133"
    return dataset


def shown(text: str) -> list[str]:
    """Return the marked values in a text."""
    texts = {*TEXTS.values(), *WRONG.values(), "ZQds131", "ZQis13", "778131", "778132", "778133", MARK}
    return sorted(each for each in texts if each in text)


def objects() -> dict[str, Callable[[], Dataset]]:
    spaced = {"ImagerPixelSpacing": [0.2, 0.2]}
    return {
        "answered": lambda: ultrasound(SHOWN),
        "no region": lambda: image(SHOWN),
        "mammogram": lambda: image(SHOWN, MAMMOGRAM, **spaced),
        "for processing": lambda: image(SHOWN, MAMMOGRAM_FOR_PROCESSING),
        "false rows": lambda: ultrasound(SHOWN, Rows=241),
        "text permitted": lambda: _captioned(BurnedInAnnotation="NO"),
        "text refused": _captioned,
        "unknown class": lambda: image(SHOWN, "1.2.778131"),
    }


def _captioned(**elements: Any) -> Dataset:
    pixels = (SHOWN * 0.6).astype(np.uint8)
    cv2.putText(pixels, "MAMA DIREITA", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    return ultrasound(pixels, **elements)


@pytest.fixture(params=[*objects()])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found = tmp_path / "IM1"
    found.write_bytes(marked_file(objects()[request.param]()))
    return found


def marked_file(dataset: Dataset) -> bytes:
    """Return the file of an object full of marked values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword in ("SOPClassUID",):
            dataset.file_meta.MediaStorageSOPClassUID = getattr(dataset, keyword)
        marked(dataset, {**TEXTS, **WRONG})
        return file_of(dataset).replace(b"77.8131", b"ZQds131").replace(b"870013", b"ZQis13")


COMMANDS = """
import logging
from edge_runtime.cli.dicom import main as dicom
from edge_runtime.cli.predict import main as predict
logging.basicConfig(level=0)
for command, *arguments in (
    (predict, "--model", "breast-us", PATH, "--json"),
    (predict, "--model", "breast-us", PATH),
    (predict, "--model", "breast-us", PATH, "--heatmap", PATH + ".png"),
    (predict, "--model", "mias-region", PATH, "--region", "100,100,40"),
    (predict, "--model", "mias-region", PATH),
    (predict, "--model", "breast-us", FOLDER),
    (dicom, "check", PATH),
    (dicom, "check", PATH, "--json"),
):
    try:
        command(arguments)
    except SystemExit:
        pass
"""


def test_no_command_shows_a_value(path: Path) -> None:
    program = COMMANDS.replace("PATH", repr(str(path))).replace("FOLDER", repr(str(path.parent)))
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert not shown(done.stdout + done.stderr), done.stdout + done.stderr
    assert "Traceback" not in done.stderr and done.returncode == 0, done.stderr
    assert done.stdout.count(str(path)) >= 6


def test_a_watched_folder_shows_no_value(tmp_path: Path) -> None:
    """An image with its circle, one that waits for ever, and a report that cannot be read."""
    watching = Watching("mias-region", tmp_path)
    watching.start("0.1", "--mark-hours", "0.001")
    circle = [150.5, 120.5, 150.5, 160.5]
    spaced = {"ImagerPixelSpacing": [0.2, 0.2]}
    state = marked_file(presentation_state(circle, uid=f"{ROOT}.778133"))
    (watching.folder / "PR1").write_bytes(state)
    (watching.folder / "SR1").write_bytes(marked_file(report(circle))[:900])
    (watching.folder / "IM1").write_bytes(marked_file(image(SHOWN, MAMMOGRAM, **spaced)))
    other = marked_file(image(SHOWN, MAMMOGRAM, **spaced))
    (watching.folder / "IM2").write_bytes(other.replace(b".778133", b".778134"))
    lines = watching.wait(lambda lines: len(lines) == 3)
    codes = {Path(line["image"]).name: line.get("error", {}).get("code") for line in lines}
    assert codes == {"IM1": None, "IM2": "dicom_mark_missing", "SR1": "dicom_truncated"}
    _, told = watching.end(signal.SIGTERM)
    text = told + watching.place.read_text("ascii")
    assert not shown(text) and "778134" not in text, text


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Everything that is logged or warned meanwhile."""
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(each.message) for each in caught] + [record.getMessage() for record in caplog.records]
    assert not shown("\n".join(texts))


def test_no_error_warning_or_log_of_the_library_shows_a_value(
    path: Path, heard: list[str], breast_us: Predictor, capfd: Any
) -> None:
    for source in (str(path), path.read_bytes()):
        try:
            heard.append(str(breast_us.predict(source).to_dict()))
        except EdgeError as error:
            heard.append(f"{error} {error.code} {error!r} {error.__cause__!r}")
    found = answer(breast_us, read_dataset(path), explain=True)
    heard.append(str(found.failure))
    out, err = capfd.readouterr()
    assert not shown(out + err)


def test_the_test_would_notice(path: Path) -> None:
    """pydicom alone does warn with the values."""
    import pydicom

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        str(pydicom.dcmread(path))
    assert shown("\n".join(str(each.message) for each in caught))
