"""The table counts what it does not list; the sheet begins with the worst pairs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.audit.audit import Audit
from training.data.audit.audit_image import CELL_PX, COLUMNS, table, worst, write_sheet
from training.data.audit.duplicates import DuplicatePair
from training.data.datasets import Sample


@pytest.fixture
def pairs(tmp_path: Path) -> list[DuplicatePair]:
    """An alike pair of one group, an exact one across groups, and a contradiction."""
    rng = np.random.default_rng(0)
    samples = []
    for name, label, group in (("a", 0, "1"), ("b", 0, "1"), ("c", 0, "2"), ("d", 1, "1")):
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (40, 50), dtype=np.uint8))
        samples.append(Sample(path.name, path, label, group))
    a, b, c, d = samples
    return [DuplicatePair(a, b, 0.99, False), DuplicatePair(a, c, 1.0, True), DuplicatePair(a, d, 0.85, False)]


def test_contradictions_come_first_then_pairs_across_groups(pairs: list[DuplicatePair]) -> None:
    assert [pair.second.name for pair in worst(pairs)] == ["d.png", "c.png", "b.png"]


def test_the_sheet_shows_each_pair(pairs: list[DuplicatePair], tmp_path: Path) -> None:
    write_sheet(worst(pairs), ("benign", "malignant"), tmp_path / "new" / "pairs.png")
    sheet = cv2.imread(str(tmp_path / "new" / "pairs.png"))
    assert sheet is not None
    assert sheet.shape[1] >= 2 * CELL_PX * COLUMNS
    assert all(part.std() > 20 for part in np.array_split(sheet, COLUMNS, axis=1))


def test_no_pairs_make_no_sheet(tmp_path: Path) -> None:
    write_sheet((), ("a",), tmp_path / "pairs.png")
    assert not (tmp_path / "pairs.png").exists()


def test_a_long_list_is_cut_with_its_rest_counted() -> None:
    refused = tuple(f"{n}.png: image_format" for n in range(12))
    report = Audit("busi", ("a",), "summary", (), 0.8, (), (), (), (), {}, (), (), (), refused)
    assert "    9.png: image_format\n    and 2 more" in table(report)
    assert "note:" not in table(report)
