"""Shards: written once and whole, of one model and one plan alone; an image that kills its process is a row."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from edge_runtime.archive import planning, scoring
from edge_runtime.archive.merging import lines, merge
from edge_runtime.archive.plan import Archive, open_archive
from edge_runtime.archive.progress import progress_of, progress_of_all
from edge_runtime.archive.scoring import score_shard
from edge_runtime.archive.shard import finished, write_shard
from edge_runtime.archive.table import line_of_row
from edge_runtime.errors import ArchiveError, IntegrityError, MachineError
from edge_runtime.predictor import Predictor
from tests.places import ROOT
from tests.unit.archive.rows import score_all, untimed

Planned = Callable[..., Archive]
Edited = Callable[[Callable[[dict[str, object]], object]], Path]


def test_a_finished_shard_is_not_touched_and_a_missing_one_is_made(images: Path, planned: Planned) -> None:
    archive = planned(images)
    before = score_all(archive)
    stamps = {path: path.stat().st_mtime_ns for path in archive.folder.rglob("*.parquet")}
    archive.shard_path(2).unlink()
    assert progress_of(archive).rows == 18
    assert score_all(archive) == before
    changed = {path for path in archive.folder.rglob("*.parquet") if path.stat().st_mtime_ns != stamps[path]}
    assert changed == {archive.shard_path(2)}
    assert not list((archive.folder / "attempts").iterdir())


def test_equal_plans_are_one_and_others_are_refused(images: Path, planned: Planned, tmp_path: Path) -> None:
    archive = planned(images)
    assert planned(images).plan == archive.plan
    with pytest.raises(ArchiveError, match="plan of other images") as found:
        planned(images, shard_size=6)
    assert found.value.code == "archive_exists"
    (images / "new.png").write_bytes(b"new")
    with pytest.raises(ArchiveError, match="plan of other images"):
        planned(images)
    assert {path.name for path in archive.folder.iterdir()} == {"plan.json", "manifest", "left_out.jsonl"}
    with pytest.raises(ArchiveError, match="twice"):
        planned(images, images, folder="other")


def test_a_plan_that_was_interrupted_is_no_plan(images: Path, planned: Planned, tmp_path: Path) -> None:
    archive = planned(images)
    (archive.folder / "plan.json").unlink()
    with pytest.raises(ArchiveError, match=r"found no plan\.json"):
        open_archive(archive.folder)
    assert planned(images).plan == archive.plan


def test_a_shard_of_another_model_or_plan_is_refused_and_not_skipped(
    images: Path,
    planned: Planned,
    edited_bundle: Edited,
    tmp_path: Path,
) -> None:
    archive = planned(images)
    other = planned(images, folder="other", model=edited_bundle(lambda found: found.update(guard_band=0.25)))
    smaller = planned(images / "below", folder="smaller")
    for shard, (foreign, code) in enumerate(((other, "archive_other_model"), (smaller, "archive_other_plan"))):
        score_shard(str(foreign.folder), shard)
        target = archive.shard_path(shard)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(foreign.shard_path(shard).read_bytes())
        for call in (lambda n=shard: score_shard(str(archive.folder), n), lambda n=shard: finished(archive, n)):
            with pytest.raises(ArchiveError) as found:
                call()
            assert found.value.code == code
    archive.shard_path(0).write_bytes(b"PAR1")
    with pytest.raises(ArchiveError) as found:
        finished(archive, 0)
    assert found.value.code == "archive_damaged"


def test_a_model_that_changed_since_the_plan_is_refused(images: Path, planned: Planned, edited_bundle: Edited) -> None:
    bundle = edited_bundle(lambda found: None)
    archive = planned(images, model=bundle)
    path = bundle / "bundle.json"
    path.write_text(path.read_text() + " ")
    scoring._predictor.cache_clear()
    with pytest.raises(IntegrityError, match="Install the same version here"):
        score_shard(str(archive.folder), 0)


def test_metadata_names_the_model_and_rows_are_merged_in_order(images: Path, planned: Planned, tmp_path: Path) -> None:
    archive = planned(images)
    with pytest.raises(ArchiveError, match="shard 0 is missing") as found:
        merge(archive, tmp_path / "all.jsonl")
    assert found.value.code == "archive_incomplete"
    assert not list(tmp_path.glob("*all*"))
    score_shard(str(archive.folder), 0)
    with pytest.raises(ArchiveError, match="shard 1 is missing"):
        progress_of_all(archive)
    with pytest.raises(ArchiveError, match="shard 1 is missing"):
        list(lines(archive))
    expected = score_all(archive)
    merge(archive, tmp_path / "all.parquet")
    merge(archive, tmp_path / "all.jsonl")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column("record").to_pylist() == list(range(23))
    metadata = table.schema.metadata
    assert metadata[b"edge-archive.bundle"].decode() == archive.plan.model.bundle
    assert metadata[b"edge-archive.contract"].decode() == archive.plan.model.contract
    assert metadata[b"edge-archive"] == b"edge-archive-rows/1"
    assert untimed(map(line_of_row, table.to_pylist())) == expected
    assert untimed((tmp_path / "all.jsonl").read_text().splitlines()) == expected
    assert table.column("error").null_count == 21


def test_rows_of_another_number_are_refused(images: Path, planned: Planned) -> None:
    archive = planned(images)
    score_all(archive)
    rows = pq.read_table(archive.shard_path(1), partitioning=None).to_pylist()
    write_shard(archive, 1, [rows[0], *rows[:-1]])
    with pytest.raises(ArchiveError, match="not those of this shard"):
        list(lines(archive))


def test_a_fault_of_the_machine_writes_nothing(images: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = planned(images)

    def failing(*_: object, **__: object) -> None:
        raise MachineError("out of memory", code="machine_memory")

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict", failing)
        with pytest.raises(MachineError):
            score_shard(str(archive.folder), 0)
    assert not list(archive.folder.glob("shards/*/*")) and not list(archive.folder.glob("attempts/*"))
    score_shard(str(archive.folder), 0)


KILLED = """
import os, sys
from edge_runtime.archive import scoring
from edge_runtime.predictor import Predictor
predict = Predictor.predict
def dying(self, image, **named):
    if named["name"].endswith(tuple(sys.argv[2:])):
        os._exit(9)
    return predict(self, image, **named)
Predictor.predict = dying
scoring.score_shard(sys.argv[1], 0)
"""


def test_images_that_kill_their_process_get_an_error_and_the_others_an_answer(images: Path, planned: Planned) -> None:
    archive = planned(images, shard_size=10)
    command = [sys.executable, "-c", KILLED, str(archive.folder), "/03.png", "/09.png"]
    codes = [subprocess.run(command, cwd=ROOT, check=False).returncode for _ in range(7)]
    assert codes == [9, 9, 9, 9, 9, 9, 0]
    rows = pq.read_table(archive.shard_path(0), partitioning=None).to_pylist()
    errors = {Path(row["image"]).name: row["error"]["code"] for row in rows if row["error"]}
    assert errors == {"03.png": "image_kills_process", "09.png": "image_kills_process", "bad.png": "image_format"}
    assert not list((archive.folder / "attempts").iterdir())


def test_records_are_found_again_in_whichever_file_of_the_manifest(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SHARDS_PER_PART", 3)
    monkeypatch.setattr("edge_runtime.archive.plan.SHARDS_PER_PART", 3)
    (tmp_path / "list.txt").write_text("".join(f"{n}.png\n" for n in range(100)))
    archive = planned(tmp_path / "list.txt", shard_size=7)
    assert len(list((archive.folder / "manifest").iterdir())) == 5
    found = [record.image for shard in range(archive.plan.shards) for record in archive.records(shard)]
    assert found == [f"{n}.png" for n in range(100)]
    assert json.loads((archive.folder / "plan.json").read_text())["records"] == 100
    with pytest.raises(ArchiveError, match="found no shard 15, expected 0 to 14"):
        score_shard(str(archive.folder), 15)
