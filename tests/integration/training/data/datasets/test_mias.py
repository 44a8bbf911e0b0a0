"""mini-MIAS: labels and lesions of Info.txt, y from the top, both breasts of a woman in one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from training.data.datasets import mias
from training.data.datasets.mias import Lesion
from training.errors import DatasetError

LINES = [
    "mdb001 G CIRC B 535 425 197",
    "mdb002 D NORM ",
    "mdb003 F CALC M *NOTE 3*",
    "mdb004 F CIRC B",
    "mdb005 F CIRC B 477 133 30",
    "mdb005 F CIRC M 500 168 26",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / mias.FOLDER
    folder.mkdir()
    for number in range(1, 6):
        (folder / f"mdb{number:03}.pgm").write_bytes(b"P5 1 1 255 x")
    _info(tmp_path, *LINES)
    return tmp_path


def _info(root: Path, *lines: str) -> None:
    (root / mias.FOLDER / mias.INFO).write_text("\n".join(lines) + "\n", encoding="ascii")


def test_any_abnormality_is_label_one_and_a_woman_is_a_group(root: Path) -> None:
    samples = mias.load(root).samples
    assert [s.name for s in samples] == [f"mdb{n:03}.pgm" for n in range(1, 6)]
    assert [s.label for s in samples] == [1, 0, 1, 1, 1]
    assert [s.group for s in samples] == ["1", "1", "2", "2", "3"]


def test_lesions_count_y_from_the_top(root: Path) -> None:
    samples = mias.load(root / mias.FOLDER).samples
    assert mias.lesions(samples[0]) == (Lesion("G", "CIRC", "B", (535, 1023 - 425), 197),)
    assert mias.lesions(samples[1]) == ()


def test_one_image_may_have_several_lesions_and_widespread_ones_have_no_place(root: Path) -> None:
    samples = mias.load(root).samples
    assert [lesion.severity for lesion in mias.lesions(samples[4])] == ["B", "M"]
    assert mias.lesions(samples[2]) == (Lesion("F", "CALC", "M", None, None),)
    assert mias.lesions(samples[3]) == (Lesion("F", "CIRC", "B", None, None),)


def test_references_without_a_image_are_counted_and_fatal_only_if_strict(root: Path) -> None:
    _info(root, *LINES, "mdb322 D NORM")
    dataset = mias.load(root)
    assert dataset.passed_over == ("mdb322.pgm: named in Info.txt, not in the folder",)
    assert "1 files passed over" in dataset.summary()
    with pytest.raises(DatasetError, match=r"mdb322\.pgm: named in Info\.txt"):
        mias.load(root, strict=True)


def test_other_files_are_passed_over(root: Path) -> None:
    (root / mias.FOLDER / "README").write_text("x")
    assert mias.load(root).passed_over == ("README",)


@pytest.mark.parametrize("name", ["mdb009.pgm", "mdb9.pgm", "scan.pgm"])
def test_a_image_without_a_line_is_a_fault(root: Path, name: str) -> None:
    (root / mias.FOLDER / name).write_bytes(b"P5 1 1 255 x")
    with pytest.raises(DatasetError, match=rf"1 faults.*\n  {name}: no line in Info\.txt"):
        mias.load(root)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("mdb6 D NORM", "expected a reference"),
        ("mdb006 X NORM", "a tissue F, G or D"),
        ("mdb006 D", "and a class"),
        ("mdb006 D NORM B", "expected NORM, or one of"),
        ("mdb006 D LUMP B 1 2 3", "expected NORM, or one of"),
        ("mdb006 D CIRC Q 1 2 3", "with B or M"),
        ("mdb006 D CIRC B 1 2", "x y radius or nothing"),
        ("mdb006 D CIRC B 1 2 wide", "invalid literal"),
        ("mdb006 D CIRC B 1 1024 3", "expected x and y in 0..1023"),
        ("mdb006 D CIRC B 1 2 0", "radius above 0"),
    ],
)
def test_a_line_that_cannot_be_read_is_a_fault(root: Path, line: str, told: str) -> None:
    _info(root, *LINES, line)
    with pytest.raises(DatasetError, match=r"Info\.txt line 7") as caught:
        mias.load(root)
    assert told in str(caught.value)


@pytest.mark.parametrize("lines", [("mdb001 G NORM",), ("mdb006 G NORM", "mdb006 G CIRC B 1 2 3")])
def test_a_image_that_is_normal_in_one_line_and_not_in_another_is_a_fault(root: Path, lines: tuple[str, ...]) -> None:
    _info(root, *LINES, *lines)
    with pytest.raises(DatasetError, match=rf"line {6 + len(lines)}: mdb00\d is NORM in one line and has a lesion"):
        mias.load(root)


def test_all_faults_are_counted_and_five_named(root: Path) -> None:
    for number in range(100, 107):
        (root / mias.FOLDER / f"mdb{number}.pgm").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"7 faults") as caught:
        mias.load(root)
    assert str(caught.value).count("no line in") == 5


def test_missing_info_and_empty_folders_say_what_to_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such folder.*Download"):
        mias.load(tmp_path / "nowhere")
    (root / mias.FOLDER / mias.INFO).unlink()
    with pytest.raises(DatasetError, match=r"found no Info\.txt.*holds the labels"):
        mias.load(root)
    (tmp_path / mias.INFO).write_text("")
    with pytest.raises(DatasetError, match=r"found no image"):
        mias.load(tmp_path)


@pytest.mark.shared
def test_the_published_images(published: Callable[[str], Path]) -> None:
    dataset = mias.load(published("mias"), strict=True)
    assert Counter(s.label for s in dataset.samples) == {0: 166, 1: 92}
    assert len({s.group for s in dataset.samples}) == 129
    lesions = [lesion for s in dataset.samples for lesion in mias.lesions(s)]
    assert len(lesions) == 98
    assert sum(lesion.centre_px is None for lesion in lesions) == 4


@pytest.mark.shared
def test_flipping_y_moves_the_published_circles_onto_tissue(published: Callable[[str], Path]) -> None:
    import numpy as np

    from edge_runtime.images.reader import read

    flipped, straight = [], []
    for sample in mias.load(published("mias")).samples:
        pixels = read(sample.path).pixels
        for lesion in mias.lesions(sample):
            if lesion.centre_px is not None:
                x, y = lesion.centre_px
                flipped.append(int(pixels[y, x]))
                straight.append(int(pixels[mias.SIDE_PX - 1 - y, x]))
    assert np.median(flipped) > np.median(straight)
    assert sum(value < 50 for value in flipped) < sum(value < 50 for value in straight)
