"""BrEaST: labels and patients from the workbook, opaque alpha read by the runtime, faults named."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import ImageError
from edge_runtime.images.reader import read
from tests.ultrasound_sites import BOX, WORKBOOK, mask, write, write_breast, write_table
from training.data.datasets import breast_us
from training.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_breast(tmp_path, patients=4)
    return tmp_path / breast_us.FOLDER


def test_images_have_label_patient_site_and_birads_of_the_table(folder: Path) -> None:
    dataset = breast_us.load(folder.parent)
    assert [(s.name, s.label, s.group) for s in dataset.samples] == [
        ("case001.png", 0, "1"),
        ("case002.png", 1, "2"),
        ("case003.png", 0, "3"),
        ("case004.png", 2, "4"),
    ]
    traits = (("site", "Poland (BrEaST)"), ("scanner", "not recorded (BrEaST)"), ("BI-RADS", "4a"))
    assert set(dataset.traits.values()) == {traits}
    assert dataset.summary() == "4 images of 4 patients (benign 2 of 2, malignant 1 of 1, normal 1 of 1)"
    assert breast_us.load(folder).samples == dataset.samples


def test_the_runtime_reads_opaque_alpha_and_rejects_transparency(folder: Path) -> None:
    sample = breast_us.load(folder).samples[0]
    stored = cv2.imread(str(sample.path), cv2.IMREAD_UNCHANGED)
    assert stored.shape[2] == 4
    assert np.array_equal(read(sample.path).pixels, stored[..., :3])
    stored[3, 4, 3] = 0
    write(sample.path, stored)
    with pytest.raises(ImageError, match="transparency"):
        read(sample.path)
    assert breast_us.load(folder).samples[0] == sample


def test_masks_of_other_findings_are_no_lesions(folder: Path) -> None:
    write(folder / "case001_other1.png", mask(BOX))
    write(folder / "case001_tumor2.png", mask(BOX))
    samples = breast_us.load(folder).samples
    assert [path.name for path in breast_us.masks_of(samples[0])] == ["case001_tumor.png", "case001_tumor2.png"]
    assert breast_us.masks_of(samples[3]) == ()


def test_all_faults_are_counted_and_five_are_named(folder: Path) -> None:
    rows = [(1, "case001.png", None, None, "unclear"), (2, "two.png", None, None, "benign")]
    rows += [(3, "case003.png", None, None, "normal"), (4, "case004.png", None, None, "malignant")]
    write_table(folder.parent / WORKBOOK, rows)
    write(folder / "scan.png", mask())
    (folder / "case002.png").unlink()
    with pytest.raises(DatasetError) as caught:
        breast_us.load(folder)
    told = str(caught.value)
    # lines 2 and 3; scan.png; no line for 1; the image of the mask of 2; 3 normal with a mask; 4 malignant without
    assert "7 faults" in told
    assert told.count("\n  ") == 5
    assert "line 2: found CaseID '1' and classification 'unclear'" in told
    assert told.endswith("Unpack the archive again, or move these files away.")


def test_a_label_and_its_mask_must_agree(folder: Path) -> None:
    (folder / "case002_tumor.png").unlink()
    with pytest.raises(DatasetError, match=r"case002\.png: the image is malignant in the table and has no mask"):
        breast_us.load(folder)


def test_lines_without_an_image_and_empty_lines_are_no_faults(folder: Path) -> None:
    labels = ("benign", "malignant", "benign", "normal", "benign")
    rows: list[tuple[object, ...]] = [(i, f"case{i:03}.png", None, 3, x) for i, x in enumerate(labels, start=1)]
    write_table(folder.parent / WORKBOOK, [*rows, (None,) * 5])
    dataset = breast_us.load(folder)
    assert len(dataset.samples) == 4
    assert dataset.passed_over == (f"case005.png: named in {WORKBOOK}, not in the folder",)


def test_the_table_is_needed_once_and_readable(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / WORKBOOK
    table.rename(folder / WORKBOOK)
    assert len(breast_us.load(folder).samples) == 4  # in the folder it is found too
    (folder / WORKBOOK).rename(table)
    write_table(tmp_path / WORKBOOK.replace("2023", "2024"), [])
    with pytest.raises(DatasetError, match=r"2023\.xlsx, .*2024\.xlsx, expected one table"):
        breast_us.load(tmp_path)
    (tmp_path / WORKBOOK.replace("2023", "2024")).unlink()
    write_table(table, [], header=("CaseID", "Label"))
    with pytest.raises(DatasetError, match="found no column Image_filename, Classification"):
        breast_us.load(tmp_path)
    table.write_bytes(b"no workbook")
    with pytest.raises(DatasetError, match="found no Excel workbook"):
        breast_us.load(tmp_path)
    table.unlink()
    with pytest.raises(DatasetError, match="found none, expected one table"):
        breast_us.load(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        breast_us.load(tmp_path / "none")


def test_without_openpyxl_the_error_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DatasetError, match=r"found no openpyxl .* in the extra 'dev'"):
        breast_us.load(folder)
