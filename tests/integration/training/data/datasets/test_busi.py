"""BUSI: images apart from masks, faults named, near-same images in one group."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.audit.duplicates import SAME_SCAN, DuplicateSearch, compare
from training.data.datasets import Sample, busi
from training.errors import DatasetError


def _write(folder: Path, name: str, seed: int = 0) -> None:
    """Write smooth noise under ``name``; equal seeds are equal images."""
    noise = np.random.default_rng(seed).normal(0, 1, (150, 170))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(128 + 250 * smooth, 0, 255).astype(np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / busi.FOLDER
    for seed, name in enumerate(("benign (1)", "benign (12)", "malignant (3)", "normal (7)")):
        place = f"{name.split()[0]}/{name}"
        _write(folder, f"{place}.png", seed)
        _write(folder, f"{place}_mask.png", 99)
    return tmp_path


def test_images_are_samples_in_order_of_their_names_and_masks_are_not(root: Path) -> None:
    dataset = busi.load(root)
    assert [s.name for s in dataset.samples] == [
        "benign/benign (1).png",
        "benign/benign (12).png",
        "malignant/malignant (3).png",
        "normal/normal (7).png",
    ]
    assert [s.label for s in dataset.samples] == [0, 0, 1, 2]
    assert dataset.labels == ("benign", "malignant", "normal")


def test_the_published_folder_itself_is_found_too(root: Path) -> None:
    assert busi.load(root / busi.FOLDER).samples == busi.load(root).samples


def test_masks_of_a_image_are_in_order_and_no_other_image_s(root: Path) -> None:
    folder = root / busi.FOLDER
    for extra in ("_mask_10", "_mask_2", "_mask_1"):
        _write(folder, f"benign/benign (1){extra}.png")
    first, second = busi.load(root).samples[:2]
    assert [path.name for path in busi.masks_of(first)] == [f"benign (1)_mask{n}.png" for n in ("", "_1", "_2", "_10")]
    assert [path.name for path in busi.masks_of(second)] == ["benign (12)_mask.png"]


def test_the_same_scan_under_two_labels_is_one_group(root: Path) -> None:
    _write(root / busi.FOLDER, "malignant/malignant (9).png", seed=1)
    _write(root / busi.FOLDER, "malignant/malignant (9)_mask.png", seed=99)
    groups = {s.name: s.group for s in busi.load(root).samples}
    assert groups["malignant/malignant (9).png"] == groups["benign/benign (12).png"] == "benign/benign (12).png"
    assert len(set(groups.values())) == 4


def test_both_names_of_a_scan_under_two_labels_are_contradicted_and_stay_samples(root: Path) -> None:
    _write(root / busi.FOLDER, "malignant/malignant (9).png", seed=1)
    _write(root / busi.FOLDER, "malignant/malignant (9)_mask.png", seed=99)
    dataset = busi.load(root)
    assert dataset.contradicted == {"malignant/malignant (9).png", "benign/benign (12).png"}
    assert dataset.contradicted <= {s.name for s in dataset.samples}
    assert any(note.startswith("2 images in 1 near-same pairs") for note in dataset.notes), dataset.notes


def test_the_same_scan_twice_under_one_label_contradicts_nothing(root: Path) -> None:
    _write(root / busi.FOLDER, "benign/benign (9).png", seed=1)
    _write(root / busi.FOLDER, "benign/benign (9)_mask.png", seed=99)
    assert busi.load(root).contradicted == frozenset()


def test_masks_are_counted_and_the_summary_speaks_of_clusters(root: Path) -> None:
    _write(root / busi.FOLDER, "benign/benign (1)_mask_1.png", seed=99)
    dataset = busi.load(root)
    assert dataset.notes[0] == "5 lesion masks are not samples"
    assert dataset.summary() == (
        "4 images of 4 clusters of near-same images (benign 2 of 2, malignant 1 of 1, normal 1 of 1)"
    )


def test_images_are_compared_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def counted(samples: Iterable[Sample], threshold: float) -> DuplicateSearch:
        calls.append(threshold)
        return compare(samples, threshold)

    monkeypatch.setattr(busi, "compare", counted)
    busi.load(root)
    assert calls == [SAME_SCAN]


def test_reading_alone_decodes_nothing_and_leaves_each_image_a_group(root: Path) -> None:
    for path in (root / busi.FOLDER).rglob("*.png"):
        path.write_bytes(b"")
    assert [s.group for s in busi.read(root).samples] == [s.name for s in busi.read(root).samples]


def test_a_truncated_image_among_many_is_named_in_a_note_and_a_group_of_its_own(root: Path) -> None:
    path = root / busi.FOLDER / "normal" / "normal (7).png"
    path.write_bytes(path.read_bytes()[:200])
    dataset = busi.load(root)
    assert dataset.samples[-1].group == "normal/normal (7).png"
    assert "1 images cannot be read and were not compared: normal/normal (7).png: image_truncated" in dataset.notes


def test_a_class_folder_that_is_there_but_empty_is_named(root: Path) -> None:
    for path in (root / busi.FOLDER / "normal").iterdir():
        path.unlink()
    (root / busi.FOLDER / "normal" / "Thumbs.db").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"1 places do not fit.*\n  normal: the folder exists but contains no \.png"):
        busi.load(root)


def test_a_class_folder_that_is_not_there_is_a_note(root: Path) -> None:
    shutil.rmtree(root / busi.FOLDER / "normal")
    assert "no image is labelled normal: nothing can be learnt of it here" in busi.load(root).notes


def test_other_files_are_passed_over_and_counted(root: Path) -> None:
    (root / busi.FOLDER / "benign" / "Thumbs.db").write_bytes(b"x")
    dataset = busi.load(root)
    assert dataset.passed_over == ("benign/Thumbs.db",)
    assert "1 files passed over" in dataset.summary()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("benign/benign (5).png", r"benign/benign \(5\)\.png: the image has no mask"),
        ("benign/benign (5)_mask.png", r"benign/benign \(5\)\.png: the image is missing"),
        ("benign/benign (5)_mask_1.png", r"benign/benign \(5\)\.png: the image is missing"),
        ("benign/malignant (5).png", r"benign/malignant \(5\)\.png: expected benign/benign"),
        ("benign/benign 5.png", r"benign/benign 5\.png: expected"),
        ("benign/more/benign (5).png", r"benign/more/benign \(5\)\.png: expected"),
    ],
)
def test_each_fault_is_named(root: Path, name: str, told: str) -> None:
    _write(root / busi.FOLDER, name)
    with pytest.raises(DatasetError, match=told):
        busi.load(root)


def test_all_faults_are_counted_and_five_named(root: Path) -> None:
    for number in range(20, 27):
        _write(root / busi.FOLDER, f"normal/normal ({number}).png")
    with pytest.raises(DatasetError, match=r"7 places do not fit") as caught:
        busi.load(root)
    assert str(caught.value).count("has no mask") == 5


def test_no_folder_and_empty_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such folder.*Download"):
        busi.load(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"no folder named benign"):
        busi.load(tmp_path)
    (tmp_path / "benign").mkdir()
    with pytest.raises(DatasetError, match=r"benign: the folder exists but contains no \.png"):
        busi.load(tmp_path)


@pytest.mark.shared
def test_the_published_images(published: Callable[[str], Path]) -> None:
    dataset = busi.load(published("busi"))
    assert Counter(s.label for s in dataset.samples) == {0: 323, 1: 167, 2: 87}
    assert sum(len(busi.masks_of(s)) for s in dataset.samples) == 590
    # 105 clusters over 232 images, and 345 images alone: found with SAME_SCAN and looked at pair by pair.
    sizes = Counter(Counter(s.group for s in dataset.samples).values())
    assert sum(n for size, n in sizes.items() if size > 1) == 105
    assert sizes[1] == 345
    # Seven pairs over twelve images carry two labels, all of .94 and more: see test_duplicates.
    assert len(dataset.contradicted) == 12
    assert dataset.notes[0] == "590 lesion masks are not samples"
