"""Workers: order kept, a bounded window, faults in their place, and nothing left running."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import BackendError, UsageError
from edge_runtime.inference.ordered_map import WINDOW_PER_WORKER, in_order
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edge-batch")]


def slow(item: int) -> int:
    """Later items are done first."""
    time.sleep(0.002 * (3 - item % 4))
    return item * item


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    assert list(in_order([slow, slow, slow], range(count))) == [i * i for i in range(count)]
    assert not running()


def test_each_worker_is_called_by_one_thread_at_a_time() -> None:
    busy, clashes = {0: False, 1: False}, []

    def worker(number: int, item: int) -> int:
        clashes.extend([item] if busy[number] else [])
        busy[number] = True
        time.sleep(0.001)
        busy[number] = False
        return number

    found = list(in_order([lambda i: worker(0, i), lambda i: worker(1, i)], range(60)))
    assert not clashes
    assert set(found) == {0, 1}


def test_an_endless_source_is_asked_for_no_more_than_the_window() -> None:
    asked = []

    def endless() -> Iterator[int]:
        for i in itertools.count():
            asked.append(i)
            yield i

    results = in_order([slow, slow], endless())
    for taken, result in enumerate(itertools.islice(results, 50)):
        assert result == taken * taken
        assert len(asked) <= taken + 1 + 2 * WINDOW_PER_WORKER
    results.close()  # type: ignore[attr-defined]
    assert not running()


def test_a_fault_of_a_worker_is_raised_in_its_place_and_stops_the_others() -> None:
    def worker(item: int) -> int:
        if item == 5:
            raise BackendError("broken")
        return slow(item)

    found = []
    with pytest.raises(BackendError, match="broken"):
        for result in in_order([worker, worker], itertools.count()):
            found.append(result)
    assert found == [0, 1, 4, 9, 16]
    assert not running()


def test_a_fault_of_the_source_comes_after_the_results_before_it() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise OSError("the folder is gone")

    found = []
    with pytest.raises(OSError, match="gone"):
        for result in in_order([slow, slow], source()):
            found.append(result)
    assert found == [0, 1, 4]
    assert not running()


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Files of noise, each another one."""
    rng, paths = np.random.default_rng(92), []
    for i in range(24):
        paths.append(str(tmp_path / f"{i:02}.png"))
        low = rng.integers(0, 200)
        cv2.imwrite(paths[-1], rng.integers(low, low + 56, (50, 50, 3), dtype=np.uint8))
    return paths


def shown(answer: Prediction | Failure) -> object:
    return answer.error.code if isinstance(answer, Failure) else (answer.image, answer.verdict, answer.precision)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_answer_as_one_does(workers: int, images: list[str]) -> None:
    sources = [*images[:10], "missing.png", *images[10:], b""]
    with Predictor.load() as predictor:
        alone = [shown(answer) for answer in predictor.predict_all(sources)]
        together = [shown(answer) for answer in predictor.predict_all(iter(sources), workers=workers)]
    assert together == alone
    assert (alone[10], alone[-1]) == ("image_not_found", "image_empty")
    assert not running()


def test_a_closed_predictor_stops_its_workers(images: list[str]) -> None:
    with Predictor.load() as predictor:
        answers = predictor.predict_all(itertools.cycle(images), workers=2)
        next(answers)
    with pytest.raises(BackendError, match="was closed"):
        list(answers)
    assert not running()


def test_leaving_a_batch_early_stops_its_workers(images: list[str]) -> None:
    with Predictor.load() as predictor:
        answers = predictor.predict_all(itertools.cycle(images), workers=2)
        assert next(answers).image == images[0]
        answers.close()  # type: ignore[attr-defined]
        assert not running()
        assert next(predictor.predict_all(images)).image == images[0]


def test_less_than_one_worker_cannot_be_used() -> None:
    with Predictor.load() as predictor, pytest.raises(UsageError, match="workers=0"):
        predictor.predict_all([], workers=0)
