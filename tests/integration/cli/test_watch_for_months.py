"""``--watch`` goes on after rotation of its results, and after damage to its files."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from edge_runtime.results.record import LineError, from_line
from tests.integration.cli.watch_site import Site, images


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
    record = site.root / "results.jsonl.seen"
    site.wait(lambda: first[-1].encode() in record.read_bytes())  # written after the answer
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
