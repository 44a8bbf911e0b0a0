"""``--watch`` goes on: through rotation, damage, images that kill it, and other versions of its model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_runtime.bundle.bundle import SHIPPED, find
from edge_runtime.bundle.registry.install import install, rollback
from edge_runtime.bundle.signing.keys import write_key_pair
from edge_runtime.bundle.signing.sealing import sign_folder
from edge_runtime.results.record import LineError, from_line
from tests.places import ROOT
from tests.unit.bundle import shipped_bundle
from tests.unit.bundle.shipped_bundle import NAME

VALID = jsonschema.Draft202012Validator(
    json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
)
PLAIN = "from edge_runtime.cli.predict import main\nmain()"
KILLED_BY_NAME = """
import os, signal
from edge_runtime.inference import pipeline
read = pipeline.read

def deadly(source, **options):
    if "deadly" in str(source):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(source, **options)

pipeline.read = deadly
"""


class Site:
    """A folder, a results file, a store, and the process that watches."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.place = root, root / "in", root / "results.jsonl"
        self.folder.mkdir()
        self.store = root / "store"
        self._made = 0
        self.said = root / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, before: str = "", model: str = NAME) -> subprocess.Popen[bytes]:
        """Start a watch; it listens to signals when this returns, or has ended."""
        command = [sys.executable, "-c", before + PLAIN, "--model", model, "--watch", str(self.folder)]
        command += ["--output", str(self.place), "--interval", "0.05", *options]
        environment = {**os.environ, "EDGE_MODELS": str(self.store), "PYTHONPATH": str(ROOT)}
        with self.said.open("wb") as said:
            process = subprocess.Popen(command, stderr=said, cwd=self.root, env=environment)
        self._process = process
        end = time.monotonic() + 60
        while "watching " not in self.said.read_text() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        return process

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        assert self._process is not None
        self._process.send_signal(number)
        return self.ended(0 if number is signal.SIGTERM else -number)

    def ended(self, status: int) -> str:
        """Wait for the process's end; return its stderr."""
        assert self._process is not None
        found, said = self._process.wait(timeout=60), self.said.read_text()
        assert "Traceback" not in said, said
        assert found == status, said
        self._process = None
        return said

    def bring(self, count: int = 1, name: str = "") -> list[str]:
        """Move images in, whole, each with content of its own; return their paths."""
        moved = []
        for _ in range(count):
            self._made += 1
            path = shipped_bundle.image(self.root / "aside.png", self._made)
            target = self.folder / (name or f"{self._made:04}.png")
            path.rename(target)
            moved.append(str(target))
        return moved

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert self._process is None or self._process.poll() is None, self.said.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def hold(self, count: int, place: Path | None = None) -> list[dict[str, Any]]:
        """Wait until the file has that many lines; return them."""
        self.wait(lambda: len(lines(place or self.place)) >= count)
        return lines(place or self.place)


def lines(place: Path) -> list[dict[str, Any]]:
    data = place.read_bytes() if place.exists() else b""
    found = [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
    for line in found:
        VALID.validate(line)
    return found


def images(place: Path) -> list[str]:
    return [line["image"] for line in lines(place)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    if made._process is not None:
        made._process.kill()
        made._process.wait()


@pytest.mark.parametrize("how", ["move", "remove", "move and hang up", "copy and truncate"])
def test_rotation_loses_nothing_and_answers_nothing_twice(how: str, site: Site) -> None:
    first = site.bring(3)
    process = site.start()
    site.hold(3)
    rotated = site.root / "results.jsonl.1"
    kept = site.place.read_bytes()
    if how == "copy and truncate":
        shutil.copy(site.place, rotated)
        os.truncate(site.place, 0)
    elif how == "remove":
        site.place.unlink()
        rotated.write_bytes(kept)
    else:
        site.place.rename(rotated)
    if how == "move and hang up":
        process.send_signal(signal.SIGHUP)
    site.wait(site.place.exists)
    second = site.bring(2)
    site.hold(2)
    time.sleep(0.3)
    site.end()
    assert (images(rotated), images(site.place)) == (first, second)
    assert rotated.read_bytes() == kept
    third = site.bring(1)
    site.start()
    site.hold(3)
    time.sleep(0.3)
    said = site.end()
    assert images(site.place) == second + third, "a restart remembers what was moved away"
    assert "5 images were answered before" in said
    assert f"{site.place}: 1 answered, 0 failed, 5 already there." in said


def test_a_file_that_was_moved_while_nobody_watched_is_remembered(site: Site) -> None:
    first = site.bring(3)
    site.start()
    site.hold(3)
    site.end(signal.SIGKILL)
    site.place.rename(site.root / "old")
    second = site.bring(1)
    site.start()
    site.hold(1)
    time.sleep(0.3)
    site.end()
    assert (images(site.root / "old"), images(site.place)) == (first, second)


def test_a_lost_memory_is_made_from_the_results(site: Site) -> None:
    first = site.bring(3)
    site.start()
    site.hold(3)
    site.end()
    (site.root / "results.jsonl.seen").unlink()
    second = site.bring(1)
    site.start()
    site.hold(4)
    time.sleep(0.2)
    site.end()
    assert images(site.place) == first + second
    site.place.unlink()
    site.start()
    time.sleep(1)
    site.end()
    assert images(site.place) == []


def whole_images(data: bytes) -> list[str]:
    found = []
    for line in data.split(b"\n"):
        with suppress(LineError):
            found.append(from_line(line).identity.image)
    return found


DAMAGE = {
    "a torn line": lambda data: data[:-100],
    "zeros": lambda data: data + b"\0" * 5000,
    "garbage": lambda data: data + bytes(range(255, -1, -1)) * 20,
    "a changed answer at the end": lambda data: data[:-300] + data[-300:].replace(b'"ms"', b'"mz"'),
    "garbage in the middle": lambda data: data.replace(b"\n", b"\n\xff\xfe\n", 1),
    "a changed answer in the middle": lambda data: data.replace(b"0", b"1", 1),
    "all of it": lambda data: b"\x07" * len(data),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_set_aside_and_never_a_reason_to_stop(case: str, site: Site) -> None:
    first = site.bring(3)
    site.start()
    site.hold(3)
    site.end()
    damaged = DAMAGE[case](site.place.read_bytes())
    site.place.write_bytes(damaged)
    second = site.bring(2)
    site.start()
    site.wait(lambda: set(second) <= set(images(site.place)))
    time.sleep(0.3)
    said = site.end()
    aside = site.root / "results.jsonl.damaged-1"
    assert said.count("moved to ") == 1 and str(aside) in said
    kept = aside.read_bytes()
    assert damaged.endswith(kept) or damaged == kept
    found = images(site.place) + whole_images(kept)
    assert sorted(found) == first + second, "what damage took is answered again, what it left is not"
    again = site.bring(1)
    site.start()
    site.wait(lambda: set(again) <= set(images(site.place)))
    site.end()
    assert sorted(images(site.place) + whole_images(kept)) == first + second + again


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"\xff" + data[1:], lambda data: data + b"x"])
def test_a_damaged_memory_is_mended_from_the_results(damage: Callable[[bytes], bytes], site: Site) -> None:
    first = site.bring(3)
    site.start()
    site.hold(3)
    site.end()
    seen = site.root / "results.jsonl.seen"
    seen.write_bytes(damage(seen.read_bytes()))
    site.start()
    second = site.bring(1)
    site.hold(4)
    said = site.end()
    assert images(site.place) == first + second
    assert "results.jsonl.seen.damaged-1" in said
    site.start()
    time.sleep(0.5)
    assert "are damaged" not in site.end()


def test_a_file_named_by_mistake_is_refused(site: Site) -> None:
    site.place.write_bytes(b"\x89PNG\r\n\x1a\n a photograph")
    site.start()
    assert "error [results_damaged]" in site.ended(2)
    assert site.place.read_bytes() == b"\x89PNG\r\n\x1a\n a photograph"


def test_a_second_watch_of_the_same_results_is_refused_also_after_rotation(site: Site) -> None:
    first = site.start()
    site.wait(site.place.exists)
    site.place.unlink()
    site.start("--interval", "600")
    assert "error [results_in_use]" in site.ended(2)
    site._process = first
    site.end()


def test_an_image_that_kills_is_set_aside_by_name_and_the_next_ones_are_answered(site: Site) -> None:
    (deadly,) = site.bring(name="deadly.png")
    others = site.bring(3)
    for death in (1, 2):
        site.start(before=KILLED_BY_NAME)
        said = site.ended(-signal.SIGKILL)
        assert ("died while it processed this image" in said) == (death > 1)
    assert images(site.place) == others, "who killed once comes last"
    site.start(before=KILLED_BY_NAME)
    found = site.hold(4)
    late = site.bring(1)
    site.hold(5)
    site.end()
    assert (found[3]["image"], found[3]["error"]["code"]) == (deadly, "image_kills_process")
    assert images(site.place) == [*others, deadly, *late]
    site.start(before=KILLED_BY_NAME)
    time.sleep(0.7)
    site.end()
    assert len(images(site.place)) == 5, "it is not asked about again"
    site.start("--retry-failed")
    (*_, again) = site.hold(5)
    site.end()
    assert again["image"] == deadly and "decision" in again


def test_a_replaced_killer_is_another_image(site: Site) -> None:
    site.bring(name="deadly.png")
    for _ in range(2):
        site.start(before=KILLED_BY_NAME)
        site.ended(-signal.SIGKILL)
    (path,) = site.bring(name="deadly.png")
    site.start()
    (line,) = site.hold(1)
    site.end()
    assert line["image"] == path and "decision" in line


def test_kills_at_other_times_blame_no_image(site: Site) -> None:
    site.bring(2)
    for count in (2, 3, 4):
        site.start()
        site.hold(count)
        time.sleep(0.2)
        site.end(signal.SIGKILL)
        site.bring(1)
    site.start()
    found = site.hold(5)
    said = site.end()
    assert "died" not in said
    assert all("decision" in line for line in found)


def versions(root: Path) -> tuple[Path, Path]:
    return SHIPPED / NAME, shipped_bundle.version(root / "new", "1.0.1")


def test_an_installed_and_a_rolled_back_model_are_taken_over_without_a_restart(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(site.store))
    old, new = versions(site.root)
    first = site.bring(2)
    process = site.start()
    site.hold(2)
    install(old)
    install(new)
    site.bring(2)
    site.hold(4)
    (site.folder / "bad.png").write_bytes(b"no image")
    assert site.hold(5)[-1]["bundle"] == find(new).digest, "failures name the model of the day, too"
    (site.folder / "bad.png").unlink()
    rollback(NAME)
    site.bring(1)
    site.hold(6)
    assert process.poll() is None
    install(new)
    site.end(signal.SIGKILL)
    site.start()
    site.bring(1)
    site.hold(7)
    time.sleep(0.2)
    said = site.end()
    found = [line for line in lines(site.place) if "error" not in line]
    digests = {folder: find(folder).digest for folder in (old, new)}
    assert [line["version"] for line in found] == ["1.0.0"] * 2 + ["1.0.1"] * 2 + ["1.0.0", "1.0.1"]
    assert [line["bundle"] for line in found] == [digests[p] for p in (old, old, new, new, old, new)]
    assert images(site.place)[:2] == first and len(images(site.place)) == 7, "none is answered again"
    assert "is replaced by" not in said


def test_a_model_that_cannot_be_used_is_told_once_and_the_old_one_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new version is not signed by the trusted key; installing it again with a signature mends that."""
    monkeypatch.setenv("EDGE_MODELS", str(site.store))
    public, private = site.root / "key.pub", site.root / "key"
    write_key_pair(private)
    old, new = versions(site.root)
    signed = Path(shutil.copytree(old, site.root / "old"))
    sign_folder(signed, private)
    install(signed, trusted_key=public)
    site.start("--trusted-key", str(public))
    site.bring(1)
    site.hold(1)
    install(new)
    site.bring(3)
    site.hold(4)
    time.sleep(0.3)
    assert {line["version"] for line in lines(site.place)} == {"1.0.0"}
    sign_folder(new, private)
    rollback(NAME)
    install(new, trusted_key=public)
    site.bring(1)
    (*_, last) = site.hold(5)
    said = site.end()
    assert said.count("the new model cannot be used [signature_missing]: ") == 1, said
    assert last["version"] == "1.0.1"
    assert said.count("is replaced by 1.0.1") == 1
