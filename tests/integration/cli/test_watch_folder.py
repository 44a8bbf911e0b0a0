"""``--watch``: every image that comes to rest is answered once, through restarts and bad files."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.places import ROOT

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA)


class Watching:
    """A watching process, its folder and its results file."""

    def __init__(self, bundle: Path | str, root: Path) -> None:
        self.folder, self.place = root / "in", root / "results.jsonl"
        self.folder.mkdir()
        self._aside, self._bundle = root / "aside", bundle
        self._aside.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, interval: str = "0.05", *options: str) -> None:
        command = [sys.executable, "-m", "edge_runtime.cli.predict", "--model", str(self._bundle)]
        command += ["--watch", str(self.folder), "--output", str(self.place), "--interval", interval, *options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; return exit status and stderr."""
        assert self._process is not None
        self._process.send_signal(number)
        out, err = self._process.communicate(timeout=60)
        assert out == b""
        assert b"Traceback" not in err, err.decode()
        status, self._process = self._process.returncode, None
        return status, err.decode()

    def move_in(self, image: Path, name: str) -> str:
        """Bring an image whole, with a time of its own."""
        copied = shutil.copyfile(image, self._aside / name)
        os.replace(copied, self.folder / name)  # noqa: PTH105
        return str(self.folder / name)

    def lines(self) -> list[dict[str, Any]]:
        text = self.place.read_text(encoding="ascii") if self.place.exists() else ""
        found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        for line in found:
            VALID.validate(line)
        return found

    def wait(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        end = time.monotonic() + 60
        while not condition(found := self.lines()):
            assert self._process is not None
            assert self._process.poll() is None, self._process.communicate()[1].decode()
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return found


@pytest.fixture
def watching(phantom_bundle: Path, tmp_path: Path) -> Iterator[Watching]:
    made = Watching(phantom_bundle, tmp_path)
    yield made
    if made._process is not None:
        made.end(signal.SIGKILL)


def images(found: list[dict[str, Any]]) -> list[str]:
    return [line["image"] for line in found]


def holds(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: len(found) >= count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_images_before_and_after_the_start_are_answered_and_a_signal_ends_it_with_0(
    number: signal.Signals, watching: Watching, phantom_patches: list[Path]
) -> None:
    first = [watching.move_in(phantom_patches[i], f"{9 - i}.png") for i in range(3)]
    watching.start()
    watching.wait(holds(3))
    second = [watching.move_in(phantom_patches[i], f"{9 - i}.png") for i in range(3, 5)]
    found = watching.wait(holds(5))
    status, err = watching.end(number)
    assert status == 0
    assert images(found) == first + second, "in order of arrival, against the order of names"
    assert err.splitlines() == [
        f"watching {watching.folder}; {watching.place} holds 0 answers.",
        f"{watching.place}: 5 answered, 0 failed, 0 already there.",
    ]


def test_a_signal_does_not_wait_for_the_next_look(watching: Watching) -> None:
    watching.start(interval="600")
    watching.wait(lambda _: watching.place.exists())
    begin = time.monotonic()
    assert watching.end(signal.SIGTERM)[0] == 0
    assert time.monotonic() - begin < 10


def test_killed_again_and_again_each_image_has_one_line(watching: Watching, phantom_patches: list[Path]) -> None:
    chance, moved = random.Random(5), list[str]()
    for turn in range(5):
        watching.start()
        for _ in range(30):
            moved.append(watching.move_in(phantom_patches[len(moved)], f"{len(moved):03}.png"))
        least = chance.randint(1, 25)
        watching.wait(holds(30 * turn + least))
        watching.end(signal.SIGKILL)
        size = watching.place.stat().st_size
        os.truncate(watching.place, size - chance.randrange(120))
    watching.start()
    found = watching.wait(holds(150))
    time.sleep(0.3)
    status, err = watching.end(signal.SIGTERM)
    assert status == 0
    assert sorted(images(watching.lines())) == sorted(moved), "none lost, none twice"
    assert len(found) == 150
    assert "already there." in err


def test_a_bad_image_is_a_line_and_its_mended_form_another(watching: Watching, phantom_patches: list[Path]) -> None:
    path = watching.folder / "a.png"
    path.write_bytes(phantom_patches[0].read_bytes()[:500])
    (watching.folder / "empty.png").touch()
    watching.start()
    bad = watching.wait(holds(2))
    assert {Path(line["image"]).name: line["error"]["code"] for line in bad} == {
        "a.png": "image_truncated",
        "empty.png": "image_empty",
    }
    shutil.copy(phantom_patches[0], path)
    (*_, good) = watching.wait(holds(3))
    assert (good["image"], good["decision"] in ("POSITIVE", "NEGATIVE", "REFER")) == (str(path), True)
    assert good["file"] == {"bytes": path.stat().st_size, "modified_ns": path.stat().st_mtime_ns}
    status, err = watching.end(signal.SIGTERM)
    assert status == 0
    assert "1 answered, 2 failed" in err


def test_a_image_that_is_still_written_waits(watching: Watching, phantom_patches: list[Path]) -> None:
    data = phantom_patches[0].read_bytes()
    watching.start(interval="0.5")
    with (watching.folder / "slow.png").open("wb") as file:
        for start in range(0, len(data), len(data) // 15):
            file.write(data[start : start + len(data) // 15])
            file.flush()
            time.sleep(0.1)
    (line,) = watching.wait(holds(1))
    assert "decision" in line


def test_a_folder_that_goes_away_is_waited_for(watching: Watching, phantom_patches: list[Path]) -> None:
    watching.move_in(phantom_patches[0], "a.png")
    watching.start()
    watching.wait(holds(1))
    away = watching.folder.with_name("away")
    watching.folder.rename(away)
    time.sleep(0.4)
    away.rename(watching.folder)
    time.sleep(0.2)
    watching.move_in(phantom_patches[1], "b.png")
    watching.wait(holds(2))
    status, err = watching.end(signal.SIGTERM)
    assert status == 0
    assert err.count("waiting [folder_unreadable]") == 1
    assert err.count("every folder can be listed again.") == 1


def test_what_is_no_folder_leaves_with_2(edge_predict: Any, phantom_bundle: Path, tmp_path: Path) -> None:
    result = edge_predict("--model", phantom_bundle, "--watch", tmp_path / "missing", "--output", tmp_path / "r")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "found no folder to watch" in result.stderr
    assert not (tmp_path / "r").exists()


def test_a_image_replaced_while_it_is_read_is_not_written_down(
    edge_predict: Any,
    phantom_bundle: Path,
    phantom_patches: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer would be of bytes that the stamp beside it does not tell."""
    from edge_runtime.predictor import Predictor

    folder, place = tmp_path / "in", tmp_path / "results.jsonl"
    folder.mkdir()
    path = shutil.copy(phantom_patches[0], folder / "a.png")
    whole, calls = Predictor.predict_all, list[str]()

    def meddled(self: Predictor, sources: Any) -> Any:
        calls.append("asked")
        found = list(whole(self, sources))
        if len(calls) == 1:
            shutil.copy(phantom_patches[1], path)
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(Predictor, "predict_all", meddled)
    result = edge_predict("--model", phantom_bundle, "--watch", folder, "--output", place, "--interval", "0.05")
    assert result.exit_code == 0
    (line,) = [json.loads(line) for line in place.read_text(encoding="ascii").splitlines()]
    assert line["file"]["bytes"] == phantom_patches[1].stat().st_size
    assert calls == ["asked", "asked"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_systemd_unit_verifies_and_is_hardened(tmp_path: Path) -> None:
    unit = (ROOT / "docs" / "edge-predict.service").read_text(encoding="utf-8")
    assert "/usr/local/bin/edge-predict " in unit
    path = tmp_path / "edge-predict.service"
    path.write_text(unit.replace("/usr/local/bin/edge-predict", "/bin/true"), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", str(path)], check=False, capture_output=True, timeout=60)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, b"", b"")
