"""A child process answers as its parent, whatever the parent's other threads were doing when it was forked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from edge_runtime.platform import fork_safety, stderr_capture
from tests.places import ROOT

Work = Callable[[Callable[[], None]], None]
"""A thread's work; in the middle of it it calls what it is given, and waits there."""
Start = Callable[[Work], Callable[[], None]]
"""Starts it, and returns what ends it."""

FORKS, PATIENCE_S = 12, 20

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

# Threads answer, rerun in float32 and open models without a pause; the main thread forks in the middle of it.
BUSY = """
import json, os, random, signal, sys, threading, time
import numpy as np
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.predictor import Predictor

model, backend, threads, forks, patience = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
rng = np.random.default_rng(0)
shade = np.linspace(40, 220, 7500).reshape(50, 50, 3)
images = [np.clip(shade[:: (-1) ** i] + rng.normal(0, 25, shade.shape), 0, 255).astype(np.uint8) for i in range(4)]
held = Predictor.load(model, backend=Runtime(backend), threads=threads)
ready = images[0][np.newaxis]

def answers():
    exact = held._engines.first.logits(ready, exact=True).tolist()
    return [held.predict(image).verdict.scores for image in images] + [exact]

def answering():
    while True:
        answers()

def opening():
    while True:
        Predictor.load(model, backend=Runtime(backend), threads=threads).close()

def ending(child):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "answers" if status == 0 else f"status {status}"
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"

mine, found = answers(), []
for work in (answering, answering, answering, opening):
    threading.Thread(target=work, daemon=True).start()
for seed in range(forks):
    time.sleep(random.Random(seed).random() / 50)
    child = os.fork()
    if child == 0:
        same = answers() == mine
        held.close()
        os._exit(0 if same else 3)
    found.append(ending(child))
    if found[-1] == "hangs":
        break
print(json.dumps([found, answers() == mine]), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", ["litert", "onnxruntime"])
def test_children_of_a_busy_process_answer_as_it_does(backend: str, threads: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUSY, DEFAULT_MODEL, backend, str(threads), str(FORKS), str(PATIENCE_S)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == [["answers"] * FORKS, True], done.stdout


def in_child(call: Callable[[], bool]) -> bool:
    """Return what ``call`` says in a child process, False if it does not end there."""
    child = os.fork()
    if child == 0:
        threading.Timer(PATIENCE_S, os._exit, (1,)).start()
        try:
            os._exit(0 if call() else 1)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


@pytest.fixture
def meanwhile() -> Start:
    """Return a function that starts a thread, waits until it is in the middle of its work, and gives its end."""

    def start(work: Work) -> Callable[[], None]:
        inside, leave = threading.Event(), threading.Event()

        def wait() -> None:
            inside.set()
            assert leave.wait(PATIENCE_S)

        thread = threading.Thread(target=work, args=(wait,))
        thread.start()
        assert inside.wait(PATIENCE_S)

        def end() -> None:
            leave.set()
            thread.join()

        return end

    return start


def test_a_child_has_standard_error_back_from_a_thread_that_listened(
    meanwhile: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    end = meanwhile(lambda wait: stderr_capture.listen(wait, b"^heard") and None)

    def speaks() -> bool:
        os.write(2, b"from the child\n")
        return stderr_capture.listen(lambda: os.write(2, b"heard\n"), b"^heard")[1] == b"heard\n"

    try:
        assert in_child(speaks)
        assert capfd.readouterr().err == "from the child\n"  # at once, not when the thread of the parent has done
    finally:
        end()
    assert capfd.readouterr().err == ""


def test_a_fork_inside_a_listener_leaves_it_listening_in_the_child() -> None:
    def child_hears() -> bool:
        return in_child(lambda: os.write(2, b"heard\n") > 0 and stderr_capture._listening.before is not None)

    result, heard = stderr_capture.listen(child_hears, b"^heard")
    assert (result, heard) == (True, b"heard\n")


def another_thread_may_open() -> bool:
    """Given back by the thread that took it: a lock whose thread has ended stays locked for all later tests."""

    def taken() -> bool:
        if not fork_safety.opening.acquire(timeout=5):
            return False
        fork_safety.opening.release()
        return True

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(taken).result()


def test_a_fork_waits_until_an_interpreter_is_open(
    meanwhile: Start,
) -> None:
    """Opening holds locks of the libraries that a child could never take again."""

    def opens(wait: Callable[[], None]) -> None:
        with fork_safety.opening:
            wait()

    end, order = meanwhile(opens), []
    timer = threading.Timer(0.3, lambda: (order.append("opened"), end()))
    timer.start()
    assert in_child(lambda: order == ["opened"] and another_thread_may_open())
    timer.join()
    assert another_thread_may_open(), "in the parent, too"
