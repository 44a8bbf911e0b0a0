"""Faults of the machine on the command line: status 6, no final line, asked again."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_runtime.cli.exit_codes import EXIT_CODES
from edge_runtime.errors import MachineError
from edge_runtime.images import reader
from tests.places import ROOT
from tests.unit.bundle.shipped_bundle import NAME, image

VALID = jsonschema.Draft202012Validator(
    json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a", "b", "c")):
        image(tmp_path / "in" / f"{name}.png", number)
    return tmp_path / "in"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Names of files whose reading fails, with the number of the fault; may change meanwhile."""
    faults: dict[str, int] = {}
    load = reader.load_file

    def meddled(path: str, name: str) -> bytes:
        number = faults.get(Path(path).name)
        if number is not None:
            raise reader.load_error(OSError(number, os.strerror(number), path), name)
        return load(path, name)

    monkeypatch.setattr(reader, "load_file", meddled)
    return faults


def lines(place: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in place.read_text(encoding="ascii").splitlines()]
    for line in found:
        VALID.validate(line)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_goes_on_stores_nothing_and_resume_asks_again(
    workers: int, edge_predict: Any, folder: Path, failing: dict[str, int], tmp_path: Path
) -> None:
    place = tmp_path / "results.jsonl"
    call = ("--model", NAME, folder, "--microns-per-pixel", 4, "--output", place, "--workers", workers)
    failing["b.png"] = errno.ESTALE
    first = edge_predict(*call)
    assert first.exit_code == MachineError.exit_code == 6
    assert [Path(line["image"]).name for line in lines(place)] == ["a.png", "c.png"]
    told, summary, remedy = first.stderr.splitlines()
    assert told.startswith(f"not answered [machine_io]: {folder / 'b.png'}: the machine failed (Stale file handle)")
    assert summary == f"{place}: 2 answered, 0 failed, 0 already there."
    assert remedy.startswith("1 not answered because the machine failed (machine_io 1)")
    del failing["b.png"]
    again = edge_predict(*call, "--resume")
    assert (again.exit_code, len(lines(place))) == (0, 3)
    assert again.stderr == f"{place}: 1 answered, 0 failed, 2 already there.\n"


@pytest.mark.parametrize("style", ["--json", "--csv", None])
def test_printed_answers_say_so_and_the_status_is_6(
    style: str | None, edge_predict: Any, folder: Path, failing: dict[str, int]
) -> None:
    failing["b.png"] = errno.ENOMEM
    (folder / "bad.png").write_bytes(b"no image")
    result = edge_predict("--model", NAME, folder, "--microns-per-pixel", 4, *([style] if style else []))
    assert result.exit_code == 6
    assert "machine_memory" in result.stdout
    assert result.stderr.splitlines()[0] == "2 of 4 failed."
    if style == "--json":
        found = [json.loads(line) for line in result.stdout.splitlines()]
        for line in found:
            VALID.validate(line)
        assert [line["error"]["kind"] for line in found if "error" in line] == ["machine", "image"]


def test_a_model_that_cannot_be_read_now_is_no_damaged_one(
    edge_predict: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Any, *rest: Any, **options: Any) -> int:
        if "bundles" in str(path):
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    result = edge_predict("--model", NAME, folder / "a.png")
    assert (result.exit_code, result.stdout) == (6, "")
    assert result.stderr.startswith("error [machine_descriptors]: ")


def test_a_watch_asks_again_at_a_later_look_and_tells_once(
    edge_predict: Any, folder: Path, failing: dict[str, int], tmp_path: Path
) -> None:
    place = tmp_path / "results.jsonl"
    failing["b.png"] = errno.EMFILE

    def mend() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and (not place.exists() or place.read_bytes().count(b"\n") < 2):
            time.sleep(0.02)
        time.sleep(0.3)  # some looks more
        failing.clear()
        while time.monotonic() < end and place.read_bytes().count(b"\n") < 3:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    helper = threading.Thread(target=mend)
    helper.start()
    result = edge_predict("--model", NAME, "--watch", folder, "--output", place, "--interval", "0.05")
    helper.join()
    assert result.exit_code == 0
    assert sorted(Path(line["image"]).name for line in lines(place)) == ["a.png", "b.png", "c.png"]
    assert all("decision" in line for line in lines(place))
    assert result.stderr.count("not answered [machine_descriptors]") == 1


def test_the_status_is_documented() -> None:
    assert f"\n  {MachineError.exit_code}    " in EXIT_CODES
    assert f"| {MachineError.exit_code} |" in (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")


def test_a_folder_that_the_machine_cannot_list_now_has_no_line_either(
    edge_predict: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    (image(folder / "sub" / "d.png", 4)).rename(folder / "sub" / "without-ending")
    place, listed, opened = tmp_path / "results.jsonl", os.scandir, os.open
    call = ("--model", NAME, folder, "--output", place)

    def refuse(path: Any) -> Any:
        if Path(path).name == "sub":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return listed(path)

    def refuse_open(path: Any, *rest: Any, **options: Any) -> int:
        if "without-ending" in str(path):
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "scandir", refuse)
    assert (edge_predict(*call).exit_code, len(lines(place))) == (6, 3)
    monkeypatch.setattr(os, "scandir", listed)
    monkeypatch.setattr(os, "open", refuse_open)
    monkeypatch.setattr(reader, "open", lambda path, mode: (_ for _ in ()).throw(OSError(24, "f", path)), raising=False)
    assert (edge_predict(*call, "--resume").exit_code, len(lines(place))) == (6, 3)
    monkeypatch.setattr(os, "open", opened)
    monkeypatch.delattr(reader, "open")
    assert (edge_predict(*call, "--resume").exit_code, len(lines(place))) == (0, 4)
