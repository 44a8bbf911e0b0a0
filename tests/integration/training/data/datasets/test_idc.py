"""The IDC loader takes the published layout, counts what it passes over, and refuses what contradicts itself."""

from pathlib import Path

import pytest

from training.data.datasets import idc
from training.errors import DatasetError


def _name(patient: str, label: int, x: int = 51, y: int = 101) -> str:
    return f"{patient}/{label}/{patient}_idx5_x{x}_y{y}_class{label}.png"


def _lay(root: Path, *names: str) -> Path:
    """Make empty files: the loader reads names alone, images are read by what uses them."""
    folder = root / idc.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


GOOD = (_name("10253", 0), _name("10253", 1, x=101), _name("9036", 0), _name("9036", 0, y=151))


def test_the_published_layout_gives_each_patch_with_label_and_patient_in_order_of_name(tmp_path: Path) -> None:
    folder = _lay(tmp_path, *GOOD)
    found = idc.load(tmp_path)
    assert [(s.name, s.label, s.group) for s in found.samples] == [
        (_name("10253", 0), 0, "10253"),
        (_name("10253", 1, x=101), 1, "10253"),
        (_name("9036", 0), 0, "9036"),
        (_name("9036", 0, y=151), 0, "9036"),
    ]
    assert all(s.path == folder / s.name for s in found.samples)
    assert found.labels == ("benign", "malignant")
    assert found.root == folder


def test_the_folder_itself_and_the_folder_that_holds_it_give_the_same(tmp_path: Path) -> None:
    folder = _lay(tmp_path, *GOOD)
    assert idc.load(tmp_path) == idc.load(folder)


def test_the_archives_own_copy_beside_the_patients_is_not_read_twice(tmp_path: Path) -> None:
    folder = _lay(tmp_path, *GOOD)
    _lay(folder, *GOOD)
    assert len(idc.load(tmp_path).samples) == len(GOOD)


def test_files_that_are_not_png_are_passed_over_and_counted(tmp_path: Path) -> None:
    _lay(tmp_path, *GOOD, "10253/0/Thumbs.db", "9036/notes.txt")
    found = idc.load(tmp_path)
    assert found.passed_over == ("10253/0/Thumbs.db", "9036/notes.txt")
    assert found.summary() == (
        "4 images of 2 patients (benign 3 of 2, malignant 1 of 1); 1 patients hold more than one label; "
        "2 files passed over"
    )


def test_the_summary_says_nothing_of_files_passed_over_when_there_are_none(tmp_path: Path) -> None:
    _lay(tmp_path, *GOOD)
    assert "passed over" not in idc.load(tmp_path).summary()


@pytest.mark.parametrize("empty", ["8867", "8867/0", "10253/2"])
def test_a_patient_or_class_folder_that_is_there_but_empty_is_named(tmp_path: Path, empty: str) -> None:
    folder = _lay(tmp_path, *GOOD)
    (folder / empty).mkdir(parents=True)
    with pytest.raises(
        DatasetError, match=rf"1 places do not fit.*\n  {empty}: the folder exists but contains no \.png"
    ):
        idc.load(tmp_path)


def test_a_label_without_any_patch_is_a_note(tmp_path: Path) -> None:
    _lay(tmp_path, GOOD[0], GOOD[2])
    assert idc.load(tmp_path).notes == ("no image is labelled malignant: nothing can be learnt of it here",)


def test_a_missing_folder_is_named_with_what_was_expected_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        idc.load(tmp_path / "nowhere")
    message = str(caught.value)
    for part in ("nowhere", "found no such folder", "expected IDC_regular_ps50_idx5/", "Download", "training phantoms"):
        assert part in message, f"{part!r} not in {message!r}"


@pytest.mark.parametrize("inside", [(), ("left/0/a.png",), ("12a/0/12a_idx5_x1_y1_class0.png",)])
def test_a_folder_without_patients_is_refused(tmp_path: Path, inside: tuple[str, ...]) -> None:
    for name in inside:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match="no folder named by a patient number"):
        idc.load(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="expected IDC_regular_ps50_idx5/"):
        idc.load(tmp_path / "file")


def test_patients_without_a_single_patch_are_refused(tmp_path: Path) -> None:
    folder = _lay(tmp_path)
    (folder / "10253" / "0").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"10253/0: the folder exists but contains no \.png"):
        idc.load(tmp_path)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("10253/0/10253_idx5_x1_class0.png", "the file name has no patient, x, y and class"),
        ("10253/0/10253_idx5_x1_y1_class2.png", "the file name has no patient, x, y and class"),
        ("10253/0/10253_idx5_x1_y1_class0.PNG", "the file name has no patient, x, y and class"),
        ("10253/0/10253_idx5_x1_y1_class0.png.png", "the file name has no patient, x, y and class"),
        ("10253/0/9036_idx5_x1_y1_class0.png", "the name says patient 9036, the folder says 10253"),
        ("10253/0/10253_idx5_x1_y1_class1.png", "the name says class 1, the folder says 0"),
        ("10253/2/10253_idx5_x1_y1_class1.png", "found at depth 3, expected <patient>/<0|1>/<file>"),
        ("10253/10253_idx5_x1_y1_class1.png", "found at depth 2, expected <patient>/<0|1>/<file>"),
        ("10253/0/more/10253_idx5_x1_y1_class0.png", "found at depth 4, expected <patient>/<0|1>/<file>"),
    ],
)
def test_a_name_that_contradicts_its_folder_is_refused_and_explained(tmp_path: Path, bad: str, says: str) -> None:
    folder = _lay(tmp_path, *GOOD, bad)
    with pytest.raises(DatasetError) as caught:
        idc.load(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{folder}: 1 places do not fit the published layout <patient>/<0|1>/")
    assert f"{bad}: {says}" in message
    assert "Unpack the archive again, or move these files away." in message


def test_one_place_with_both_labels_is_refused_and_both_files_are_named(tmp_path: Path) -> None:
    _lay(tmp_path, *GOOD, _name("10253", 1))
    with pytest.raises(DatasetError) as caught:
        idc.load(tmp_path)
    assert f"{_name('10253', 1)}: the same position has another label in {_name('10253', 0)}" in str(caught.value)


def test_all_faults_are_counted_and_the_first_five_named(tmp_path: Path) -> None:
    bad = [f"10253/0/broken{i}.png" for i in range(8)]
    _lay(tmp_path, *GOOD, *bad)
    with pytest.raises(DatasetError) as caught:
        idc.load(tmp_path)
    message = str(caught.value)
    assert "8 places do not fit" in message
    named = [name for name in bad if name in message]
    assert named == bad[:5]
