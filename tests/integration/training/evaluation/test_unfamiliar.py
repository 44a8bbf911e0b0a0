"""Counting what is referred: own, other, drawn; on phantoms, whose familiarity is fitted as a real model's is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest

from edge_runtime.images.reader import read
from training.artifact import Artifact
from training.cli.decide import decide
from training.cli.familiarity import familiarity as command
from training.data.drawn_images import DRAWN, drawn, image, inverted
from training.errors import DatasetError
from training.evaluation.out_of_distribution import OWN, OWN_VALIDATION, measure_familiarity
from training.metrics import evaluation

SHAPES: list[tuple[int, ...]] = [(50, 50, 3), (64, 80)]


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve screenshots, a lesion mask, a text and a file that is no image."""
    folder = tmp_path_factory.mktemp("screens")
    (folder / "deeper").mkdir()
    for i, shown in enumerate(drawn("screenshots", SHAPES, 12, seed=3)):
        cv2.imwrite(str(folder / ("deeper" if i % 2 else ".") / f"{i}.png"), shown.pixels)
    cv2.imwrite(str(folder / "1_mask.png"), np.zeros((50, 50), np.uint8))
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_images_are_images_and_the_same_each_time(kind: str) -> None:
    first, again = ([p.pixels for p in drawn(kind, SHAPES, 8, seed=1)] for _ in range(2))
    other = [p.pixels for p in drawn(kind, SHAPES, 8, seed=2)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    for shown in drawn(kind, SHAPES, 8, seed=1):
        found = read(shown.pixels, order=shown.order)
        assert found.pixels.dtype == np.uint8 and found.order is shown.order


def test_blank_frames_are_black_and_white_too() -> None:
    levels = {int(p.pixels.flat[0]) for p in drawn("blank frames", SHAPES, 60, seed=0) if np.ptp(p.pixels) == 0}
    assert {0, 255} < levels and len(levels) > 10


def test_inverting_twice_gives_the_image_back() -> None:
    for dtype in (np.uint8, np.uint16):
        own = replace(image(np.arange(200, dtype=np.uint8).reshape(10, 20), "own"))
        own = replace(own, pixels=own.pixels.astype(dtype))
        np.testing.assert_array_equal(inverted(inverted(own)).pixels, own.pixels)
        assert inverted(own).pixels.dtype == dtype and inverted(own).pixels.max() == np.iinfo(dtype).max


def test_own_images_pass_and_all_others_are_referred(phantom_artifact: Path, phantom_data: Path, screens: Path) -> None:
    table = measure_familiarity(Artifact(phantom_artifact), phantom_data, [screens], share=0.02, most=40)
    assert table.fitted_here and table.limit > 0
    rows = {row.kind: row for row in table.rows}
    own, other = rows[OWN], rows[f"images in {screens.name}"]
    test = [group for group, part in Artifact(phantom_artifact).split().items() if part.value == "test"]
    assert own.own and own.images == 16 * len(test) and own.share < 0.15
    assert (other.images, other.referred, other.unreadable) == (12, 12, 1)
    assert {kind for kind in rows if not rows[kind].own} == {other.kind, "own, inverted", *DRAWN}
    for row in table.rows:
        exact = binomtest(row.referred, row.images).proportion_ci(method="exact")
        assert (row.low, row.high) == pytest.approx((exact.low, exact.high), abs=6e-5)
        assert row.own or row.share == 1.0, row


def test_without_a_test_part_the_validation_images_are_the_own_ones(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(phantom_artifact, tmp_path / "artifact")
    split = copy / "split.csv"
    split.write_text(split.read_text("utf-8").replace(",test", ",train"), encoding="utf-8")
    table = measure_familiarity(Artifact(copy), phantom_data, [], share=0.02, most=5)
    validation = [group for group, part in Artifact(copy).split().items() if part.value == "validation"]
    assert (table.rows[0].kind, table.rows[0].images) == (OWN_VALIDATION, 16 * len(validation))


def test_a_folder_without_images_is_refused(phantom_artifact: Path, phantom_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found no image"):
        measure_familiarity(Artifact(phantom_artifact), phantom_data, [tmp_path], share=0.02, most=5)


def test_a_kind_that_the_runtime_refuses_is_a_row_without_a_share(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "tiny.png"), np.zeros((3, 3), np.uint8))
    arguments = [str(phantom_artifact), "--data", str(phantom_data), "--others", str(tmp_path), "--most", "3"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "(1 refused by the runtime)" in done.stdout and "nan" not in done.stdout


def test_decide_writes_a_familiarity_and_the_table_is_then_the_artifacts(
    phantom_artifact: Path, phantom_data: Path, screens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 50)
    out, was = tmp_path / "decided", Artifact(phantom_artifact).spec()
    arguments = [str(phantom_artifact), "--data", str(phantom_data), "--out", str(out), "--familiar", "0.02"]
    done = CliRunner().invoke(decide, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    spec = Artifact(out).spec()
    assert was.familiarity is None and spec.familiarity is not None
    assert spec.contract == was.contract and "familiarity" not in (phantom_artifact / "spec.json").read_text()
    assert f"farther than {spec.familiarity.limit:g}" in Artifact(out).measured().training.policy
    arguments = [str(out), "--data", str(phantom_data), "--others", str(screens), "--most", "20"]
    found = json.loads(CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert not found["fitted_here"] and found["limit"] == spec.familiarity.limit
    text = CliRunner().invoke(command, arguments, catch_exceptions=False).stdout
    assert "of the artifact" in text and f"{OWN:32}" in text
    shutil.rmtree(out)
