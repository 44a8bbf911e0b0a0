"""``edge-predict archive`` beside ``edge-predict IMAGE``, and what the command refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from pyarrow import parquet

from edge_runtime.archive import packages
from edge_runtime.archive.plan import open_archive
from edge_runtime.assurance.audit.periods import AuditHistory
from edge_runtime.assurance.audit.verification import verify
from edge_runtime.bundle.bundle import find

Called = Callable[..., Result]


def test_a_folder_called_archive_is_still_predicted(
    edge_predict: Called,
    phantom_bundle: Path,
    phantom_patches: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Commands:" in edge_predict("archive").output
    (tmp_path / "archive").mkdir()
    shutil.copy(phantom_patches[0], tmp_path / "archive" / "a.png")
    result = edge_predict("archive", "--json", "--model", phantom_bundle)
    assert [json.loads(line)["image"] for line in result.stdout.splitlines()] == ["archive/a.png"]
    assert "Commands:" in edge_predict("archive", "--help").output
    result = edge_predict("archive", "plan", "archive", "--out", "planned", "--model", phantom_bundle)
    assert (result.exit_code, result.stderr) == (0, "planned: 1 image in 1 shard, phantom-patch.\n")


def test_plan_run_status_and_merge(
    edge_predict: Called, phantom_bundle: Path, folder: Callable[[int], Path], tmp_path: Path
) -> None:
    images, archive = folder(30), tmp_path / "a"
    result = edge_predict("archive", "plan", images, "--out", archive, "--shard-size", 7, "--model", phantom_bundle)
    assert "30 images in 5 shards" in result.stderr
    found = json.loads(edge_predict("archive", "status", archive, "--json").stdout)
    assert (found["shards"], found["shards_done"], found["seconds_left"]) == (5, 0, None)
    result = edge_predict("archive", "merge", archive)
    assert (result.exit_code, "[archive_incomplete]" in result.stderr, result.stdout) == (2, True, "")
    log = tmp_path / "audit.jsonl"
    result = edge_predict("archive", "run", archive, "--shard", 1, "--stride", 2, "--audit", log)
    assert (result.exit_code, result.output) == (0, "")
    assert json.loads(edge_predict("archive", "status", archive, "--json").stdout)["seconds_left"] is not None
    result = edge_predict("archive", "run", archive, "--workers", 1, "--audit", log)
    shown = edge_predict("archive", "run", archive, "--audit", log)
    history = AuditHistory()
    assert verify([log], take=history.take).holds
    counts = [(period.decisions["ANSWERED"], period.failures["FAILED"]) for period in history.periods]
    assert [sum(column) for column in zip(*counts, strict=True)] == [29, 1] and counts[2] == (0, 0)
    assert {period.model.bundle for period in history.periods} == {find(phantom_bundle).digest}
    assert shown.exit_code == 1
    assert (result.exit_code, "29 answered, 1 failed, 0 missing" in result.stderr) == (1, True)
    result = edge_predict("archive", "merge", archive, "--out", tmp_path / "all.jsonl")
    assert result.exit_code == 1
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 30


def test_merge_looks_at_every_shard_before_it_prints_and_then_opens_each_once(
    edge_predict: Called,
    phantom_bundle: Path,
    folder: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, archive = folder(8), tmp_path / "a"
    edge_predict("archive", "plan", images, "--out", archive, "--shard-size", 2, "--model", phantom_bundle)
    edge_predict("archive", "run", archive, "--shard", 0, "--stride", 2)
    result = edge_predict("archive", "merge", archive)
    assert (result.exit_code, "shard 1 is missing" in result.stderr, result.stdout) == (2, True, "")
    third = open_archive(archive).shard_path(3)
    shutil.copy(open_archive(archive).shard_path(2), third)
    result = edge_predict("archive", "merge", archive)
    assert "[archive_other_plan]" in result.stderr, "a foreign shard is told before a missing one"
    third.unlink()
    edge_predict("archive", "run", archive, "--shard", 1, "--stride", 2)
    opened = []
    original = parquet.ParquetFile.__init__

    def counted(self: parquet.ParquetFile, source: Path, *args: Any, **options: Any) -> None:
        opened.append(source.stem)
        original(self, source, *args, **options)

    monkeypatch.setattr(parquet.ParquetFile, "__init__", counted)
    result = edge_predict("archive", "merge", archive)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 8)
    names = [f"{shard:06}" for shard in range(4)]
    assert opened == names * 2, "one look at the ends of all, then the rows"
    last = open_archive(archive).shard_path(3)
    last.write_bytes(last.read_bytes()[:-9])
    result = edge_predict("archive", "merge", archive)
    assert (result.exit_code, "[archive_damaged]" in result.stderr, result.stdout) == (2, True, "")


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("run", "a", "--shard", 1, "--engine", "ray"), "--shard runs in this process"),
        (("run", "a", "--stride", 2), "--stride needs --shard"),
        (("run", "a", "--address", "x"), "--address needs --engine"),
        (("run", "a"), "[archive_no_plan]"),
        (("status", "a"), "[archive_no_plan]"),
        (("plan", "a.png", "a.png", "--out", "b"), "[archive_source]"),
        (("plan", "a.png", "--out", "b", "--model", "mias-region"), "[archive_regions]"),
    ],
)
def test_what_cannot_be_is_refused(
    edge_predict: Called, arguments: tuple[object, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = edge_predict("archive", *arguments)
    assert (result.exit_code, told in result.stderr) == (2, True)


def test_without_the_package_one_sentence_says_what_to_install(
    edge_predict: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> object:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(packages.importlib, "import_module", absent)
    result = edge_predict("archive", "plan", tmp_path / "a.png", "--out", tmp_path / "b")
    assert result.exit_code == 2
    assert "error [archive_package_missing]: found no package pyarrow" in result.stderr
    assert 'pip install "edge-predict[archive]"' in result.stderr
    (tmp_path / "c").mkdir()
