"""An audit counts copies, contradictions and what stands on both sides of a split, and shows the worst pairs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from training.cli import main
from training.data.audit.audit import SETS, audit, to_json
from training.data.audit.audit_image import table
from training.data.datasets import busi, mendeley
from training.errors import DatasetError

PLAIN, OTHER = "Density1Benign", "Density1Malignant"


def _draw(root: Path, name: str, seed: int, gain: float = 1.0, turns: int = 0) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (224, 224)), (0, 0), 2.5)
    image = np.clip(110 + 180 * gain * noise, 0, 255).astype(np.uint8)
    path = root / mendeley.FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(np.rot90(image, turns)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sources 1..6; 1 has three copies, 2 is also 5 (brighter, labelled otherwise), 3 is exactly 4."""
    folder = tmp_path / "data"
    for source in range(1, 5):
        _draw(folder, f"{PLAIN}/{source}.png", 3 if source == 4 else source)
    _draw(folder, f"{PLAIN}/1 (2).png", 1, gain=0.7)
    _draw(folder, f"{PLAIN}/1 (3).png", 1, turns=1)
    _draw(folder, f"{OTHER}/5.png", 2, gain=0.8)
    _draw(folder, f"{OTHER}/6.png", 6)
    return folder


def _split(tmp_path: Path, header: str, **parts: str) -> Path:
    path = tmp_path / "split.csv"
    lines = [f"{key.replace('_', ' ')},{part}" for key, part in parts.items()]
    path.write_text("\n".join([f"{header},part", *lines]) + "\n")
    return path


def test_copies_contradictions_and_sources_are_counted(root: Path) -> None:
    report, pairs = audit("mendeley", root)
    assert [(found.first, found.second) for found in report.exact] == [(f"{PLAIN}/3.png", f"{PLAIN}/4.png")]
    assert [len(cluster) for cluster in report.clusters] == [3, 2, 2]
    assert {cluster[0] for cluster in report.across_groups} == {f"{PLAIN}/2.png", f"{PLAIN}/3.png"}
    assert [(found.first, found.second) for found in report.contradictions] == [(f"{PLAIN}/2.png", f"{OTHER}/5.png")]
    assert report.copies_per_source == {1: 5, 3: 1}
    assert not report.leaks
    assert len(pairs) >= 4


def test_a_split_by_groups_leaks_through_copies_in_other_groups(root: Path, tmp_path: Path) -> None:
    parts = {f"source_{n}": "test" if n == 4 else "train" for n in range(1, 7)}
    report, _ = audit("mendeley", root, _split(tmp_path, "group", **parts))
    assert report.straddling_groups == ()
    assert report.straddling_clusters == ((f"{PLAIN}/3.png", f"{PLAIN}/4.png"),)
    assert report.leaks


def test_a_split_by_images_leaks_through_groups(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text(f"name,part\n{PLAIN}/1.png,train\n{PLAIN}/1 (2).png,test\n{PLAIN}/2.png,train\n")
    report, _ = audit("mendeley", root, path)
    assert report.straddling_groups == ("source 1",)
    assert len(report.straddling_clusters) == 1


def test_a_split_that_keeps_clusters_together_does_not_leak(root: Path, tmp_path: Path) -> None:
    parts = {f"source_{n}": "test" if n in (3, 4) else "train" for n in range(1, 7)}
    assert not audit("mendeley", root, _split(tmp_path, "group", **parts))[0].leaks


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "expected the header group,part or name,part"),
        ("", "found no line"),
        ("group,part\nx,train\n", "no group of"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(root: Path, tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=told):
        audit("mendeley", root, path)


def test_a_missing_split_or_an_unknown_set_is_refused(root: Path) -> None:
    with pytest.raises(DatasetError, match="found no such file"):
        audit("mendeley", root, root / "nowhere.csv")
    with pytest.raises(DatasetError, match="expected one of breast, busbra, busi, idc, mendeley, mias, ultrasound"):
        audit("mnist", root)


def test_a_image_that_cannot_be_read_is_listed(root: Path) -> None:
    path = root / mendeley.FOLDER / PLAIN / "1.png"
    path.write_bytes(path.read_bytes()[:500])
    report, _ = audit("mendeley", root)
    assert report.refused == (f"{PLAIN}/1.png: image_truncated",)
    assert "image_truncated" in table(report)


def test_the_table_names_findings_and_json_holds_them_all(root: Path) -> None:
    report, _ = audit("mendeley", root)
    text = table(report)
    assert f"{PLAIN}/2.png = {OTHER}/5.png  ({PLAIN} / {OTHER}, likeness" in text
    assert "note: no mendeley-groups.csv found" in text
    assert "sources with   3 files              1" in text
    held = json.loads(to_json(report))
    assert held["contradictions"][0]["labels"] == [PLAIN, OTHER]
    assert held["dataset"] == "mendeley"


def test_the_command_prints_the_table_and_fails_on_a_leak(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    clean = CliRunner().invoke(main, ["audit", "mendeley", "--data", str(root), "--out", str(out)])
    assert clean.exit_code == 0, clean.output
    assert "contradictory pairs                 1" in clean.output
    assert (out / "pairs.png").is_file()
    split = _split(tmp_path, "group", **{f"source_{n}": "test" if n == 4 else "train" for n in range(1, 7)})
    leak = CliRunner().invoke(main, ["audit", "mendeley", "--data", str(root), "--split", str(split), "--json"])
    assert leak.exit_code == 1
    assert json.loads(leak.stdout)["straddling_clusters"] == [[f"{PLAIN}/3.png", f"{PLAIN}/4.png"]]


def test_the_command_says_what_is_wrong_with_the_data(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["audit", "busi", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "error: " in result.output
    assert "Traceback" not in result.output


def test_the_command_offers_every_set() -> None:
    offered = next(p for p in main.commands["audit"].params if p.name == "dataset").type
    assert set(getattr(offered, "choices", ())) == set(SETS)


def test_busi_is_compared_once_and_its_clusters_are_its_groups(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "busi"
    for number, name in ((1, "benign"), (2, "benign"), (1, "malignant")):
        place = folder / busi.FOLDER / name / f"{name} ({number}).png"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / mendeley.FOLDER / PLAIN / f"{number}.png", place)
        shutil.copy(place, place.with_name(f"{name} ({number})_mask.png"))
    monkeypatch.setattr(busi, "compare", None)  # the loader's own
    report, (pair,) = audit("busi", folder)
    assert len(report.clusters) == len(report.contradictions) == 1
    assert report.across_groups == ()
    assert pair.first.group == pair.second.group == "benign/benign (1).png"
    assert "3 images of 2 clusters" in report.summary
    assert "note: 3 lesion masks are not samples" in table(report)


def test_phantoms_have_no_copies(phantom_data: Path) -> None:
    report, _ = audit("idc", phantom_data)
    assert report.clusters == ()


@pytest.mark.shared
def test_patients_of_mendeley_do_not_straddle_and_two_files_stand_for_each_source(
    published: Callable[[str], Path], patients: Path, tmp_path: Path
) -> None:
    root = tmp_path / "mendeley"
    shutil.copytree(published("mendeley"), root)
    shutil.copy(patients, root / mendeley.GROUPS)
    report, _ = audit("mendeley", root)
    assert (report.copies_per_source, len(report.clusters)) == ({2: 84}, 84)
    assert (report.across_groups, report.contradictions, report.notes) == ((), (), ())


@pytest.mark.shared
@pytest.mark.slow
def test_the_published_idc_patches_have_no_copies_of_tissue(published: Callable[[str], Path]) -> None:
    report, _ = audit("idc", published("idc"))
    # Nine patches along the edge of one cover glass, of one patient: one straight line each, no tissue.
    assert sum(len(cluster) for cluster in report.clusters) == 9
    assert (report.exact, report.across_groups, report.contradictions) == ((), (), ())
