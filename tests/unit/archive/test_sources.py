"""What is found in folders, lists, tar files, Parquet files and remote places, and what each image's bytes are."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from edge_runtime.archive.plan import Archive
from edge_runtime.archive.reading import Content, contents
from edge_runtime.archive.record import ArchiveRecord
from edge_runtime.archive.sources import read_source
from edge_runtime.errors import ArchiveError, EdgeError
from edge_runtime.images.left_out import LeftOut
from tests.unit.archive.rows import score_all, untimed

Planned = Callable[..., Archive]
Called = Callable[..., Result]


def records(source: object, column: str | None = None) -> list[ArchiveRecord]:
    return [found for found in read_source(str(source), column) if isinstance(found, ArchiveRecord)]


def left_out(source: object) -> dict[str, str]:
    return {f.path: f.reason.value for f in read_source(str(source)) if isinstance(f, LeftOut)}


def read(found: list[ArchiveRecord]) -> list[object]:
    """Content of each record: bytes, or the code of the error."""
    return [_shown(content) for _, content in contents(found)]


def _shown(content: Content) -> object:
    if isinstance(content, EdgeError):
        return content.code
    return Path(content).read_bytes() if isinstance(content, str) else content


def tar_of(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def patches(phantom_patches: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in phantom_patches[:9]]


def test_a_folder_gives_the_lines_of_the_command(
    images: Path,
    planned: Planned,
    phantom_bundle: Path,
    edge_predict: Called,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(images.parent)
    direct = edge_predict("images", "missing.png", "--json", "--model", phantom_bundle)
    archive = planned("images", "missing.png")
    assert archive.plan.records == 24
    assert archive.plan.left_out == {"hidden": 1, "unknown_kind": 1}
    monkeypatch.chdir("/")  # workers have other working directories
    assert score_all(archive) == untimed(direct.stdout.splitlines())
    names = [json.loads(line)["image"] for line in (archive.folder / "left_out.jsonl").read_text().splitlines()]
    assert names == ["images/.hidden", "images/notes.txt"]


def test_a_folder_without_images_and_one_that_cannot_be_listed_are_rows(
    planned: Planned, phantom_bundle: Path, tmp_path: Path, edge_predict: Called
) -> None:
    (tmp_path / "empty").mkdir()
    direct = edge_predict(tmp_path / "empty", "--json", "--model", phantom_bundle)
    assert score_all(planned(tmp_path / "empty")) == untimed(direct.stdout.splitlines())


def test_names_in_other_encodings_keep_their_lines(
    planned: Planned,
    phantom_bundle: Path,
    phantom_patches: list[Path],
    tmp_path: Path,
    edge_predict: Called,
) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    for name in (b"caf\xe9.png", "naïve\n.png".encode()):
        shutil.copy(phantom_patches[0], os.fsencode(folder) + b"/" + name)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(b"no image")
    direct = edge_predict(folder, "--json", "--model", phantom_bundle)
    assert score_all(planned(folder)) == untimed(direct.stdout.splitlines())


def test_a_list_names_sources_of_every_kind(images: Path, tmp_path: Path, patches: list[bytes]) -> None:
    tar = tar_of(tmp_path / "t.tar", {"a.png": patches[0]})
    lines = [str(images / "00.png"), "", "# a comment", str(images / "below"), str(tar), "gone.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    names = [record.image for record in records(tmp_path / "list.txt")]
    assert names[0] == lines[0]
    assert names[-2:] == [f"{tar}/a.png", "gone.png"]
    assert len(names) == 1 + 15 + 2
    assert Path(records(tmp_path / "list.txt")[-1].place).is_absolute()


@pytest.mark.parametrize("name, mode", [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")])
def test_a_tar_file_gives_its_members_by_content(tmp_path: Path, patches: list[bytes], name: str, mode: str) -> None:
    members = {f"set/{n:03}.png": data for n, data in enumerate(patches)}
    others = {"set/000.cls": b"1", "set/000.json": b"{}", "__MACOSX/x.png": patches[0], "set/._0.png": b"x"}
    tar = tar_of(tmp_path / name, {**members, **others, "set/noname": patches[1]}, mode)
    found = records(tar)
    assert [record.image for record in found] == [f"{tar}/{key}" for key in [*members, "set/noname"]]
    assert read(found) == [*patches, patches[1]]
    assert read(found[4:6]) == patches[4:6]
    assert sorted(left_out(tar).values()) == ["apple_double", "system", "unknown_kind", "unknown_kind"]


def test_a_cut_tar_file_keeps_its_first_members_and_has_an_error(tmp_path: Path, patches: list[bytes]) -> None:
    tar = tar_of(tmp_path / "a.tar", {f"{n}.png": data for n, data in enumerate(patches)})
    whole = records(tar)
    tar.write_bytes(tar.read_bytes()[: whole[4].start + 100])
    found = records(tar)
    assert read(found)[:4] == patches[:4]
    assert read(found)[-1] == "archive_tar_damaged"
    assert read(whole) == ["archive_place_changed"] * 9
    assert read([replace(record, stamp="") for record in whole])[:5] == [*patches[:4], "archive_place_damaged"]
    tar.unlink()
    assert read(whole) == ["image_not_found"] * 9
    (tmp_path / "zero.tar").touch()
    assert read(records(tmp_path / "zero.tar")) == ["archive_tar_damaged"]


def test_links_in_a_tar_file_are_left_out(tmp_path: Path, patches: list[bytes]) -> None:
    tar = tar_of(tmp_path / "a.tar", {"a.png": patches[0]})
    with tarfile.open(tar, "a") as file:
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    assert len(records(tar)) == 1
    assert left_out(tar) == {f"{tar}/b.png": "special_file"}


@pytest.mark.parametrize("first, count", [(0, 9), (2, 3), (3, 1), (8, 1)])
def test_a_parquet_file_gives_its_rows_whatever_its_row_groups(
    tmp_path: Path, patches: list[bytes], first: int, count: int
) -> None:
    table = pa.table({"image": [{"bytes": data, "path": "x"} for data in patches], "label": list(range(9))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    found = records(tmp_path / "a.parquet")
    assert [record.image for record in found] == [f"{tmp_path}/a.parquet#{row}" for row in range(9)]
    assert read(found[first : first + count]) == patches[first : first + count]


def test_the_column_of_a_parquet_file_is_found_or_named(tmp_path: Path, patches: list[bytes]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"one": [patches[0], None], "two": [patches[1], patches[2]]}), path)
    with pytest.raises(ArchiveError, match="found columns of bytes one, two, expected one"):
        records(path)
    with pytest.raises(ArchiveError, match="expected one named three"):
        records(path, "three")
    assert read(records(path, "one")) == [patches[0], b""]
    path.write_bytes(b"PAR1 and nothing")
    with pytest.raises(ArchiveError, match="no valid Parquet file"):
        records(path)


def test_a_parquet_file_that_was_damaged_after_the_plan_gives_errors(tmp_path: Path, patches: list[bytes]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"one": patches}), path, row_group_size=3)
    found = records(path)
    pq.write_table(pa.table({"one": patches[:5]}), path, row_group_size=3)
    assert read(found) == ["archive_place_changed"] * 9
    found = [replace(record, stamp="") for record in found]
    assert read(found) == [*patches[:5], *["archive_place_damaged"] * 4]
    path.write_bytes(b"other")
    assert read(found) == ["archive_place_damaged"] * 9


def test_a_remote_folder_is_walked_by_the_rules_of_local_ones(patches: list[bytes], images: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe({"/store/b/1.png": patches[1], "/store/a.png": patches[0], "/store/.x": b"", "/store/n.txt": b"n"})
    system.pipe({"/store/b/noname": patches[2], "/store/scan.dcm": b"\0" * 128 + b"DICM"})
    found = records("memory://store")
    assert [record.image for record in found] == [f"memory://store/{n}" for n in ("a.png", "b/1.png", "b/noname")]
    assert read(found) == patches[:3]
    assert set(left_out("memory://store").values()) == {"hidden", "unknown_kind", "dicom"}
    assert [r.image.removeprefix("file://") for r in records(f"file://{images}")] == [r.image for r in records(images)]
    with pytest.raises(ArchiveError, match="found nothing there"):
        records("memory://nowhere")
    with pytest.raises(ArchiveError, match="nosuch"):
        records("nosuch://bucket/a")


def test_remote_tar_and_parquet_files_are_read_in_place(tmp_path: Path, patches: list[bytes]) -> None:
    system = fsspec.filesystem("memory")
    tar = tar_of(tmp_path / "a.tar.gz", {f"{n}.png": data for n, data in enumerate(patches)}, "w:gz")
    pq.write_table(pa.table({"one": patches}), tmp_path / "a.parquet", row_group_size=3)
    system.pipe({"/r/a.tar.gz": tar.read_bytes(), "/r/a.parquet": (tmp_path / "a.parquet").read_bytes()})
    assert read(records("memory://r/a.tar.gz")) == patches
    assert read(records("memory://r/a.parquet")[4:8]) == patches[4:8]
    found = records("memory://r/a.tar.gz")
    system.rm("/r", recursive=True)
    assert set(read(found)) == {"image_not_found"}


def test_a_remote_fault_is_the_machines(monkeypatch: pytest.MonkeyPatch, patches: list[bytes]) -> None:
    system = fsspec.filesystem("memory")
    system.pipe({"/f/a.png": patches[0]})
    found = records("memory://f/a.png")

    def refused(*_: object, **__: object) -> bytes:
        raise ConnectionError("connection reset")

    monkeypatch.setattr(type(system), "cat_file", refused)
    assert read(found) == ["machine_io"]
