"""BUS-BRA: patients from the table, scanners without the probe, masks apart, faults named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ultrasound_sites import write_busbra
from training.data.datasets import busbra
from training.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_busbra(tmp_path, patients=4)
    return tmp_path / busbra.FOLDER


def test_images_have_label_patient_site_and_scanner_of_the_table(folder: Path) -> None:
    dataset = busbra.load(folder.parent)
    assert [(s.name, s.label, s.group) for s in dataset.samples][:4] == [
        ("Images/bus_0001-l.png", 0, "1"),
        ("Images/bus_0001-r.png", 0, "1"),
        ("Images/bus_0002-l.png", 1, "2"),
        ("Images/bus_0002-r.png", 1, "2"),
    ]
    assert dataset.traits["Images/bus_0001-l.png"] == (
        ("site", "Brazil (BUS-BRA)"),
        ("scanner", "GE Logiq 7"),
        ("BI-RADS", "4"),
    )
    assert dict(dataset.traits["Images/bus_0004-r.png"])["scanner"] == "GE Logiq 5"
    assert dataset.summary() == "8 images of 4 patients (benign 4 of 2, malignant 4 of 2)"
    assert dataset.notes == ("8 lesion masks are not samples",)
    assert busbra.load(folder).samples == dataset.samples


def test_the_mask_of_an_image_is_the_one_of_its_number_and_side(folder: Path) -> None:
    (path,) = busbra.masks_of(busbra.load(folder).samples[1])
    assert path == folder / "Masks" / "mask_0001-r.png"


def test_lines_without_an_image_and_other_files_are_listed(folder: Path) -> None:
    (folder / "Images" / "bus_0001-l.png").unlink()
    (folder / "Masks" / "mask_0001-l.png").unlink()
    (folder / "Images" / "notes.txt").touch()
    dataset = busbra.load(folder)
    assert len(dataset.samples) == 7
    assert dataset.passed_over == (
        "Images/notes.txt",
        "Images/bus_0001-l.png: named in bus_data.csv, not in the folder",
    )


def test_all_faults_are_counted_and_five_are_named(folder: Path) -> None:
    table = folder / busbra.TABLE
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace("benign", "doubtful")
    lines[2] = lines[2].replace("bus_0001-r", "bus-1")
    lines[3] = lines[4]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "Masks" / "mask_0003-l.png").unlink()
    (folder / "Images" / "bus_0004-r.png").unlink()
    (folder / "Images" / "other.png").touch()
    with pytest.raises(DatasetError) as caught:
        busbra.load(folder)
    told = str(caught.value)
    # line 2, 3, 5; other.png; the lines of 1-l, 1-r and 2-l; the mask of 3-l; the image of 4-r
    assert "9 faults" in told
    assert told.count("\n  ") == 5
    assert "bus_data.csv line 2: found the pathology 'doubtful'" in told
    assert "bus_data.csv line 5: the ID bus_0002-r has a line already" in told
    assert told.endswith("Unpack the archive again, or move these files away.")


def test_a_missing_folder_and_a_missing_table_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such folder, expected BUSBRA/bus_data\.csv"):
        busbra.load(tmp_path / "none")
    (folder / busbra.TABLE).unlink()
    with pytest.raises(DatasetError, match=r"found no bus_data\.csv beside a folder named Images"):
        busbra.load(tmp_path)
    shutil.rmtree(folder / "Images")
    (folder / "Images").mkdir()
    (folder / busbra.TABLE).write_text("ID,Case,Pathology,Device\n", encoding="utf-8")
    shutil.rmtree(folder / "Masks")
    with pytest.raises(DatasetError, match="found no image"):
        busbra.load(tmp_path)
