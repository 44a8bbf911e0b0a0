"""Mendeley mammograms: eight labels, variants of a source together, patients from the list or a note."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from training.data.datasets import mendeley
from training.data.datasets.mendeley import Variant
from training.errors import DatasetError

HEADER = "source_id,label,laterality,view,acr,birads,patient_group"
ROWS = ["111,Density1Benign,R,CC,1,2,7", "222,Density1Malignant,L,CC,1,5,7", "333,Density4Malignant,L,CC,4,5,8"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for source, label in (("111", "Density1Benign"), ("222", "Density1Malignant"), ("333", "Density4Malignant")):
        _put(tmp_path, f"{label}/{source}.png")
        _put(tmp_path, f"{label}/{source} (2).png")
    _list(tmp_path, *ROWS)
    return tmp_path


def _put(root: Path, name: str) -> None:
    path = root / mendeley.FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"png")


def _list(root: Path, *rows: str, header: str = HEADER) -> Path:
    path = root / mendeley.GROUPS
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_labels_are_density_by_malignancy_and_groups_are_patients(root: Path) -> None:
    dataset = mendeley.load(root)
    assert dataset.labels[:3] == ("Density1Benign", "Density1Malignant", "Density2Benign")
    assert len(dataset.labels) == 8
    assert [(s.label, s.group) for s in dataset.samples] == [(0, "7")] * 2 + [(1, "7")] * 2 + [(7, "8")] * 2
    assert dataset.grouped_by == "patients"
    assert not any(mendeley.GROUPS in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("name", "variant"), [("111", Variant.PLAIN), ("111 (2)", Variant.CLAHE), ("111 (72)", Variant.AUGMENTED)]
)
def test_the_file_name_tells_source_and_variant(root: Path, name: str, variant: Variant) -> None:
    _put(root, f"Density1Benign/{name}.png")
    sample = next(s for s in mendeley.load(root).samples if s.path.stem == name)
    assert (mendeley.source_of(sample), mendeley.variant_of(sample)) == ("111", variant)


def test_the_list_is_found_in_the_parent_or_given(root: Path, tmp_path: Path) -> None:
    expected = mendeley.load(root).samples
    assert mendeley.load(root / mendeley.FOLDER).samples == expected
    elsewhere = (root / mendeley.GROUPS).rename(tmp_path / "who.csv")
    assert mendeley.load(root, groups=elsewhere).samples == expected


def test_without_a_list_sources_are_groups_and_a_note_says_so(root: Path) -> None:
    (root / mendeley.GROUPS).unlink()
    dataset = mendeley.load(root)
    assert [s.group for s in dataset.samples[:3]] == ["source 111", "source 111", "source 222"]
    assert dataset.grouped_by == "sources"
    assert "one patient's may stand on both sides of a split" in dataset.notes[0]
    assert "6 images of 3 sources" in dataset.summary()


def test_a_class_folder_that_is_there_but_empty_is_named(root: Path) -> None:
    (root / mendeley.FOLDER / "Density3Benign").mkdir()
    with pytest.raises(DatasetError, match=r"1 places do not fit.*\n  Density3Benign: the folder exists"):
        mendeley.load(root)


def test_class_folders_that_are_not_there_are_a_note(root: Path) -> None:
    (note,) = mendeley.load(root).notes
    assert note.startswith("no image is labelled Density2Benign, Density2Malignant, Density3Benign, ")


def test_a_source_with_two_patients_in_the_list_is_refused(root: Path) -> None:
    _list(root, *ROWS, "111,Density1Benign,R,CC,1,2,8")
    with pytest.raises(DatasetError, match="found 1 sources with two labels or patients, the first 111"):
        mendeley.load(root)


def test_other_files_are_passed_over_and_counted(root: Path) -> None:
    _put(root, "Density1Benign/Thumbs.db")
    assert mendeley.load(root).passed_over == ("Density1Benign/Thumbs.db",)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Density1Benign/mass.png", r"mass\.png: expected Density1Benign/<source>\.png"),
        ("Density1Benign/more/111.png", r"more/111\.png: expected"),
        ("Density1Benign/444.png", r"no patient_group for source 444"),
        ("Density2Benign/111.png", r"says Density1Benign, the folder says Density2Benign"),
    ],
)
def test_each_fault_is_named(root: Path, name: str, told: str) -> None:
    _put(root, name)
    with pytest.raises(DatasetError, match=rf"1 places do not fit[^\n]*\n[^\n]*{told}"):
        mendeley.load(root)


def test_a_source_under_two_labels_is_a_fault_without_a_list_too(root: Path) -> None:
    (root / mendeley.GROUPS).unlink()
    _put(root, "Density2Benign/111.png")
    with pytest.raises(DatasetError, match=r"Density2Benign/111\.png: the same source has another label"):
        mendeley.load(root)


def test_an_empty_patient_is_a_fault(root: Path) -> None:
    _list(root, *ROWS[:2], "333,Density4Malignant,L,CC,4,5,")
    with pytest.raises(DatasetError, match=r"2 places.*\n.*no patient_group for source 333"):
        mendeley.load(root)


def test_all_faults_are_counted_and_five_named(root: Path) -> None:
    for number in range(7):
        _put(root, f"Density3Benign/{900 + number}.png")
    with pytest.raises(DatasetError, match=r"7 places") as caught:
        mendeley.load(root)
    assert str(caught.value).count("no patient_group") == 5


def test_a_list_that_is_missing_or_has_no_such_column_is_refused(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.csv: found no such file"):
        mendeley.load(root, groups=root / "nowhere.csv")
    _list(root, "111,Density1Benign", header="source_id,label")
    with pytest.raises(DatasetError, match="expected the header source_id,label,patient_group"):
        mendeley.load(root)


def test_no_folder_and_empty_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such folder.*Download"):
        mendeley.load(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"no folder named Density1Benign"):
        mendeley.load(tmp_path)
    (tmp_path / "Density1Benign").mkdir()
    with pytest.raises(DatasetError, match=r"Density1Benign: the folder exists but contains no"):
        mendeley.load(tmp_path)


@pytest.mark.shared
def test_the_published_images(published: Callable[[str], Path], patients: Path) -> None:
    dataset = mendeley.load(published("mendeley"), groups=patients)
    assert Counter(mendeley.variant_of(s) for s in dataset.samples) == {Variant.PLAIN: 84, Variant.CLAHE: 84}
    assert len({s.group for s in dataset.samples}) == 41
    assert (dataset.notes, dataset.contradicted) == ((), frozenset())
