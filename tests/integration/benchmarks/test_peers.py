"""The hand-written loops do the same work as this package: the same pixels, and all networks that ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import networks
from benchmarks.contestant import Command, NoFiguresError, Worker
from benchmarks.peers.directory_scan import scanned
from benchmarks.peers.steps import CROPS, LEVELS, levels_of, prepared
from benchmarks.task import Item, Task
from edge_runtime.bundle.bundle import find, shipped
from edge_runtime.images.reader import read
from edge_runtime.images.region import Region, cut
from edge_runtime.preprocessing.preprocessor import preprocess


def test_every_network_that_ships_has_steps_written_by_hand_and_the_default_comes_first() -> None:
    assert set(LEVELS) == set(shipped()) == set(networks.names())
    rules = {name: find(name).manifest.spec.region for name in shipped()}
    assert {name: (rule.margin, rule.least_half_px) for name, rule in rules.items() if rule is not None} == CROPS
    assert networks.names()[0] == networks.DEFAULT_MODEL


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("size", [(50, 50), (301, 480), (777, 95)])
def test_the_steps_written_by_hand_give_the_packages_tensor_bit_for_bit(name: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(len(name)).integers(0, 256, (*size, 3), dtype=np.uint8)
    spec = find(name).manifest.spec
    circle = None if spec.region is None else (size[1] * 0.7, size[0] * 0.2, min(size) / 5)
    region = None if circle is None else Region(*circle)
    expected = preprocess(cut(read(np.ascontiguousarray(pixels[..., ::-1])), region, spec.region), spec.steps)
    np.testing.assert_array_equal(prepared(levels_of(name)(Item(pixels, circle)))[0], expected)


def test_a_peer_that_cannot_run_gives_its_reason() -> None:
    with pytest.raises(NoFiguresError, match=r"^KeyError: 'no network'$"):
        Worker("broken", Task("benchmarks.peers.litert_loop", "no network"))
    with pytest.raises(NoFiguresError, match=r"No module named 'benchmarks\.peers\.nothing'"):
        Worker("absent", Task("benchmarks.peers.nothing"))


def test_a_worker_answers_before_its_turns_and_tells_times_and_memory_of_each_item(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(3):
        (tmp_path / "a" / str(number)).write_bytes(b"x")
    assert scanned(str(tmp_path)) == 3
    task = Task("benchmarks.peers.directory_scan", kind="none", options={"folder": str(tmp_path)})
    with Worker("scan", task) as worker:
        assert worker.answers == [3]
        found = worker.turn([0, 0])
    assert len(found.wall_s) == len(found.processor_s) == 2
    assert min(found.wall_s) > 0 and min(found.processor_s) > 0 and 5 < found.peak_mb < 60


def test_a_command_is_charged_for_its_own_work_and_memory_alone(tmp_path: Path) -> None:
    """This process holds far more than the program; Linux would hand its peak down to a child of its own."""
    code = "import time\nheld = bytearray(40_000_000)\nwhile time.process_time() < 0.3: pass"
    command = Command("busy", ["python3", "-c", code])
    try:
        found = command.turn([0])
    finally:
        command.close()
    assert 0.3 <= found.processor_s[0] < 5
    assert 45 < found.peak_mb < 80
    failing = Command("failing", ["python3", "-c", "raise SystemExit(2)"])
    with pytest.raises(NoFiguresError, match="ended with status 2"):
        failing.turn([0])
    failing.close()
