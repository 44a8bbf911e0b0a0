"""A predictor's whole life: many threads, many images, closing, and processes that begin with one."""

from __future__ import annotations

import dataclasses
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import BackendError
from edge_runtime.inference.backends.base import Backend, Runtime
from edge_runtime.inference.prediction import Prediction, Timing
from edge_runtime.predictor import Predictor
from tests.places import ROOT

BACKENDS = ["litert", "onnxruntime"]

WARM_UP, COUNT, GROWTH = 2_000, 20_000, 0.02
"""Images before the first look at the memory, images between the looks, and the share that it may grow."""


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def predictor(phantom_bundle: Path, backend: str) -> Iterator[Predictor]:
    with Predictor.load(phantom_bundle, backend=Runtime(backend)) as loaded:
        yield loaded


def untimed(answer: Prediction) -> Prediction:
    return dataclasses.replace(answer, ms=Timing(0, 0, 0))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_eight_threads_answer_as_one_does(predictor: Predictor, phantom_patches: list[Path]) -> None:
    many = phantom_patches * 3
    alone = [untimed(predictor.predict(path)) for path in phantom_patches]
    with ThreadPoolExecutor(8) as pool:
        together = [untimed(answer) for answer in pool.map(predictor.predict, many)]
    assert together == alone * 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_twenty_thousand_images_leave_the_memory_as_it_was(
    backend: str, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    """In a process of its own, where nothing but the predictor takes or gives back memory."""
    code = f"""
import cv2, json, os
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.predictor import Predictor
def resident_bytes():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
images = [cv2.imread(path)[..., ::-1] for path in {[str(path) for path in phantom_patches[:50]]!r}]
with Predictor.load({str(phantom_bundle)!r}, backend=Runtime({backend!r})) as predictor:
    for number in range({WARM_UP}):
        predictor.predict(images[number % len(images)])
    sizes = [resident_bytes()]
    for number in range({COUNT}):
        predictor.predict(images[number % len(images)])
        if number % 1000 == 999:
            sizes.append(resident_bytes())
print(json.dumps(sizes))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT, timeout=600)
    sizes = json.loads(done.stdout)
    assert max(sizes) <= sizes[0] * (1 + GROWTH), f"KiB at every 1,000: {[size // 1024 for size in sizes]}"


def native(backend: Backend) -> object:
    """What an opened model holds of its interpreter's package."""
    held = vars(backend)
    return held.get("_interpreter") or held["_session"]


def test_leaving_the_with_block_lets_go_of_the_interpreter(phantom_bundle: Path, backend: str) -> None:
    with Predictor.load(phantom_bundle, backend=Runtime(backend)) as predictor:
        watched = weakref.ref(native(predictor._backend))
        assert watched() is not None
    gc.collect()
    assert watched() is None, "the closed predictor still holds it"


def test_closing_lets_go_of_both_interpreters_and_may_be_repeated(
    predictor: Predictor, phantom_patches: list[Path]
) -> None:
    watched = [weakref.ref(native(backend)) for backend in (predictor._backend, predictor._exact_backend())]
    for _ in range(2):
        predictor.close()
        gc.collect()
        assert [reference() for reference in watched] == [None, None]
    for source in (phantom_patches[0], phantom_patches[0].read_bytes(), cv2.imread(str(phantom_patches[0]))):
        with pytest.raises(BackendError, match="closed"):
            predictor.predict(source)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_hundred_lives_take_no_more_memory_than_ten(phantom_bundle: Path, backend: str) -> None:
    image = np.full((50, 50, 3), 90, np.uint8)
    image[::2] = 200

    def live() -> None:
        with Predictor.load(phantom_bundle, backend=Runtime(backend)) as predictor:
            predictor.predict(image)

    for _ in range(10):
        live()
    before = resident_bytes()
    for _ in range(90):
        live()
    grown = resident_bytes() - before
    assert grown < 0.1 * before, f"{grown // 1024} KiB of {before // 1024}"


CHILD = """
import json, multiprocessing, os, sys
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.predictor import Predictor

bundle, backend, method, threads, *paths = sys.argv[1:]
held = None

def scores(predictor):
    return [predictor.predict(path).verdict.scores for path in paths]

def inherited(place):
    place.put(scores(held))

def loaded(place):
    with Predictor.load(bundle, backend=Runtime(backend), threads=int(threads)) as predictor:
        place.put(scores(predictor))

if __name__ == "__main__":
    context = multiprocessing.get_context(method)
    with Predictor.load(bundle, backend=Runtime(backend), threads=int(threads)) as held:
        mine, found = scores(held), {}
        for target in [loaded] + ([inherited] if method == "fork" else []):
            place = context.Queue()
            child = context.Process(target=target, args=(place,))
            child.start()
            try:
                found[target.__name__] = place.get(timeout=30) == mine
            except Exception as error:
                found[target.__name__] = type(error).__name__
                child.kill()
            child.join()
        found["after"] = scores(held) == mine
    print(json.dumps(found))
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_child_process_answers_as_its_parent(
    method: str, threads: int, backend: str, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    """With a predictor loaded in the child, and with one that the parent had used before the fork."""
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(script), str(phantom_bundle), backend]
    command += [method, str(threads), *map(str, phantom_patches[:5])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, capture_output=True, cwd=ROOT, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    expected = {"loaded": True, "after": True} | ({"inherited": True} if method == "fork" else {})
    assert json.loads(done.stdout) == expected
