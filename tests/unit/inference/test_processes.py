"""Workers that are processes: the results of one worker, in order, also when one of them dies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.errors import BackendError, BundleError, IntegrityError, MachineError
from edge_runtime.images.region import Marked, Region
from edge_runtime.inference import processes
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.inference.processes import CHUNK, is_sendable
from edge_runtime.predictor import Predictor
from tests.unit.platform.test_worker_process import children

COUNT = 240
WAIT_S = 60.0

Answer = Prediction | Failure


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Paths of noise, each another image; one in forty is missing and one is damaged."""
    rng, paths = np.random.default_rng(92), []
    for i in range(COUNT):
        paths.append(str(tmp_path / f"{i:03}.png"))
        low = rng.integers(0, 200)
        if i % 40 == 7:
            Path(paths[-1]).write_bytes(b"no image")
        elif i % 40 != 13:
            cv2.imwrite(paths[-1], rng.integers(low, low + 56, (50, 50, 3), dtype=np.uint8))
    return paths


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Start processes at once, and slow this one down; the images that it classified are listed."""
    classified: list[str] = []
    answered = processes._answered

    def slow(predictor: Predictor, images: Sequence[Any]) -> Any:
        time.sleep(0.02)
        classified.extend(images)
        return answered(predictor, images)

    monkeypatch.setattr(processes, "_answered", slow)
    monkeypatch.setattr(processes, "WORTH_S", 0.0)
    return classified


def shown(answer: Answer) -> object:
    """All of an answer but its times."""
    if isinstance(answer, Failure):
        return answer.image, type(answer.error), answer.error.code, answer.error.message, answer.sha256, answer.bundle
    return {**answer.to_dict(), "ms": None, "time": None}


@pytest.mark.parametrize("workers", [2, 3])
def test_processes_answer_as_one_worker_does(workers: int, images: list[str], own: list[str]) -> None:
    with Predictor.load() as predictor:
        alone = [shown(answer) for answer in predictor.predict_all(images)]
        together = [shown(answer) for answer in predictor.predict_all(iter(images), workers=workers, processes=True)]
    assert together == alone
    assert 0 < len(own) < COUNT
    assert not children()


def test_regions_and_failures_go_to_processes_too(region_images: list[Marked | Failure], own: list[Any]) -> None:
    with Predictor.load("mias-region") as predictor:
        alone = [shown(answer) for answer in predictor.predict_all(region_images)]
        together = [shown(answer) for answer in predictor.predict_all(region_images, workers=2, processes=True)]
    assert together == alone
    assert len(own) < len(region_images)


@pytest.fixture
def region_images(tmp_path: Path) -> list[Marked | Failure]:
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(5).integers(0, 256, (300, 300), dtype=np.uint8))
    found: list[Marked | Failure] = [
        Marked(str(tmp_path / "a.png"), Region(150, 150, 20 + i / 10)) for i in range(COUNT - 1)
    ]
    return [*found, Failure("folder", MachineError("the folder cannot be listed"))]


def answers_with(meddle: Callable[[psutil.Process], object], images: list[str]) -> list[Answer]:
    """Classify with one more process, after ``meddle`` was called for it, at a time when it has images."""
    with Predictor.load() as predictor:
        found = predictor.predict_all(images, workers=2, processes=True)
        answers = [next(found)]
        (child,) = children()
        helper = threading.Thread(target=meddle, args=(child,))
        helper.start()
        answers += found
        helper.join()
    assert not children()
    return answers


@pytest.mark.parametrize("window", [processes.WINDOW_PER_WORKER, 1])
def test_a_process_that_is_killed_fails_the_images_that_it_had_and_no_other(
    window: int, images: list[str], own: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "WINDOW_PER_WORKER", window)
    ready = threading.Event()
    give = processes._Worker.give

    def noticed(worker: Any, chunk: Any) -> None:
        give(worker, chunk)
        if chunk.images:
            ready.set()

    monkeypatch.setattr(processes._Worker, "give", noticed)

    def meddle(child: psutil.Process) -> None:
        assert ready.wait(WAIT_S)
        child.suspend()  # what it has been given, it keeps
        time.sleep(0.1)
        child.kill()

    answers = answers_with(meddle, images)
    with Predictor.load() as predictor:
        alone = list(predictor.predict_all(images))
    lost = [i for i, answer in enumerate(answers) if isinstance(answer, Failure) and answer.of_machine]
    assert 0 < len(lost) <= CHUNK
    assert lost == list(range(lost[0], lost[0] + len(lost)))
    for i, (answer, expected) in enumerate(zip(answers, alone, strict=True)):
        if i not in lost:
            assert shown(answer) == shown(expected)
            continue
        assert isinstance(answer, Failure)
        assert (answer.image, answer.bundle) == (images[i], expected.bundle)
        assert answer.error.code == "machine_worker"
        assert answer.error.message.startswith(
            f"{images[i]}: a worker process ended while it worked on this (signal 9)"
        )


class Dying:
    """A process that ends while it loads the model."""

    def __init__(self, load: object) -> None:
        pass

    def __call__(self, images: object) -> object:
        os._exit(3)


def test_a_process_that_ends_before_it_is_ready_stops_the_batch(
    images: list[str], own: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_Answering", Dying)
    with Predictor.load() as predictor, pytest.raises(MachineError, match=r"exit status 3") as caught:
        list(predictor.predict_all(images, workers=2, processes=True))
    assert caught.value.code == "machine_worker"
    assert not children()


def test_a_process_that_finds_another_model_stops_the_batch(images: list[str], own: list[str]) -> None:
    with Predictor.load() as predictor:
        assert predictor.config is not None
        predictor.config = replace(predictor.config, bundle="0" * 64)
        with pytest.raises(IntegrityError, match=f"expected {'0' * 64}"):
            list(predictor.predict_all(images, workers=2, processes=True))
    assert not children()


def test_a_machine_that_starts_no_process_is_at_fault(
    images: list[str], own: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(task: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(processes, "WorkerProcess", refuse)
    with Predictor.load() as predictor, pytest.raises(MachineError) as caught:
        list(predictor.predict_all(images, workers=2, processes=True))
    assert caught.value.code == "machine_busy"


def test_leaving_a_batch_early_stops_the_processes(images: list[str], own: list[str]) -> None:
    with Predictor.load() as predictor:
        answers = predictor.predict_all(images, workers=3, processes=True)
        assert next(answers).image == images[0]
        end = time.monotonic() + WAIT_S
        while len(children()) < 2:  # one that was only just started still has the name of this process
            assert time.monotonic() < end
        answers.close()  # type: ignore[attr-defined]
        assert not children()


def test_an_error_of_the_model_comes_after_the_answers_before_it(
    images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Answer] = []
    with Predictor.load() as predictor:
        for answer in take(predictor.predict_all(images, workers=2, processes=True), found):
            if answer.image == images[4]:
                predictor.close()
    assert [answer.image for answer in found] == images[:5]


def take(answers: Iterator[Answer], found: list[Answer]) -> Iterator[Answer]:
    with pytest.raises(BackendError, match="was closed"):
        for answer in answers:
            found.append(answer)
            yield answer


def test_a_few_images_start_no_process(images: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "WorkerProcess", None)
    with Predictor.load() as predictor:
        assert len(list(predictor.predict_all(images[:4], workers=2, processes=True))) == 4


PIXELS = np.full((50, 50, 3), 200, np.uint8)


@pytest.mark.parametrize(
    "image, is_sent",
    [
        ("a.png", True),
        (Path("b.png"), True),
        (Marked("a.png", Region(5, 5, 5)), True),
        (Failure("b", BundleError("bad")), True),
        (PIXELS, False),
        (Marked(b"data", Region(5, 5, 5)), False),
    ],
)
def test_only_paths_and_regions_in_them_are_sent(image: Any, is_sent: bool) -> None:
    assert is_sendable(image) is is_sent


def test_pixels_among_paths_stay_in_this_process(images: list[str], own: list[Any]) -> None:
    mixed = [PIXELS if i % 5 == 3 else path for i, path in enumerate(images)]
    with Predictor.load() as predictor:
        alone = [shown(answer) for answer in predictor.predict_all(mixed)]
        together = [shown(answer) for answer in predictor.predict_all(mixed, workers=2, processes=True)]
    assert together == alone
    assert sum(item is PIXELS for item in own) == COUNT // 5
    assert sum(item is not PIXELS for item in own) < COUNT - COUNT // 5


def test_images_are_read_in_advance_but_not_all_at_once(images: list[str], own: list[str]) -> None:
    taken: list[str] = []
    with Predictor.load() as predictor:
        answers = predictor.predict_all((taken.append(path) or path for path in images), workers=2, processes=True)
        next(answers)
        assert len(taken) <= 1 + 2 * processes.IN_ADVANCE
        assert len(list(answers)) == COUNT - 1
    assert taken == images


def test_workers_are_threads_where_processes_do_not_do(images: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """For arrays, on a GPU, of which each process would take its own part, and for a model that was not loaded."""
    monkeypatch.setattr(processes, "predict_in_processes", None)
    with Predictor.load() as predictor:
        found = predictor.predict_all([PIXELS] * 5, workers=2, processes=True)
        assert [answer.image for answer in found] == ["array"] * 5
        predictor.provider = Provider.CUDA
        assert len(list(predictor.predict_all(images[:5], workers=2, processes=True))) == 5
    with Predictor(find("idc-patch-compact"), Runtime.AUTO, Precision.INT8, 1) as opened:
        assert len(list(opened.predict_all(images[:5], workers=2, processes=True))) == 5


def test_the_process_loads_its_model_once_and_says_what_is_wrong_with_it(images: list[str]) -> None:
    loads = []

    def load() -> Predictor:
        loads.append(1)
        if len(loads) == 1:
            raise BackendError("broken")
        return Predictor.load()

    answering = processes._Answering(load)
    answers, error = answering([])
    assert (answers, type(error)) == ([], BackendError)
    assert answering([]) == ([], None)
    answers, error = answering(images[:3])
    assert ([answer.image for answer in answers], error, len(loads)) == (images[:3], None, 2)
