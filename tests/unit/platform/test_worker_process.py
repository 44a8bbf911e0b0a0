"""A worker process: results in order, its death, an interrupt, and the end of the process that started it."""

from __future__ import annotations

import contextlib
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from edge_runtime.platform import worker_process
from edge_runtime.platform.worker_process import WorkerDiedError, WorkerProcess, _serve, _without_interrupts
from tests.places import ROOT


def children() -> list[psutil.Process]:
    """Processes that multiprocessing started for work; the resource tracker is none."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_results_come_in_the_order_of_the_items() -> None:
    process = WorkerProcess(operator.neg)
    for item in range(50):
        process.give(item)
    assert [process.result() for _ in range(50)] == [-item for item in range(50)]
    process.stop()
    assert not children()


@pytest.mark.parametrize("task, item, told", [(os._exit, 3, "exit status 3"), (signal.raise_signal, 9, "signal 9")])
def test_the_death_of_the_process_is_told_with_its_cause(task: object, item: int, told: str) -> None:
    process = WorkerProcess(task)  # type: ignore[arg-type]
    process.give(item)
    with pytest.raises(WorkerDiedError, match=f"^{told}$"):
        process.result()
    process.give(item)  # is no error
    with pytest.raises(WorkerDiedError, match=f"^{told}$"):
        process.result()
    process.stop()


def test_an_interrupt_of_the_terminal_ends_no_worker_also_while_it_starts() -> None:
    process = WorkerProcess(operator.neg)
    (child,) = children()
    process.give(1)
    for _ in range(200):
        child.send_signal(signal.SIGINT)
        time.sleep(0.001)
    assert process.result() == -1
    child.send_signal(signal.SIGINT)
    process.give(2)
    assert process.result() == -2
    process.stop()


def test_an_interrupt_while_a_process_starts_comes_after_the_start() -> None:
    steps, handler, mask = [], signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(KeyboardInterrupt), _without_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        for step in range(100):
            time.sleep(0.001)
            steps.append(step)
    assert len(steps) == 100
    assert (signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == (handler, mask)


def test_a_process_whose_start_is_interrupted_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def interrupted() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    monkeypatch.setattr(worker_process, "_without_interrupts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WorkerProcess(operator.neg)
    assert not children()


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", refuse)
    with pytest.raises(BlockingIOError):
        WorkerProcess(operator.neg)


def test_another_thread_may_start_a_process() -> None:
    with ThreadPoolExecutor(1) as pool:
        process = pool.submit(WorkerProcess, operator.neg).result()
    process.give(7)
    assert process.result() == -7
    process.stop()


def test_workers_end_when_the_process_that_started_them_is_killed() -> None:
    code = (
        "import operator, time\n"
        "from edge_runtime.platform.worker_process import WorkerProcess\n"
        "process = WorkerProcess(operator.neg)\n"
        "process.give(1)\n"
        "print(process.result(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == b"-1\n"
        left = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
    assert left
    assert not psutil.wait_procs(left, timeout=30)[1]


def test_the_loop_of_a_worker_ends_with_either_end_of_its_pipe() -> None:
    here, there = multiprocessing.Pipe()
    here.send(4)
    here.close()
    _serve(there, operator.neg)  # the result cannot be sent
    _serve(there, operator.neg)  # nothing can be received
    here, there = multiprocessing.Pipe()
    here.send(4)
    there.close()
    _serve(there, operator.neg)
