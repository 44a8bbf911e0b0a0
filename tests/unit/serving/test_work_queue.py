"""The queue is bounded, keeps its order, and forgets the work of clients that are gone."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from functools import partial

import pytest

from edge_runtime.serving.problems import Problem
from edge_runtime.serving.work_queue import WorkQueue


@pytest.fixture
def queue() -> Iterator[WorkQueue]:
    made = WorkQueue(places=2, workers=1)
    yield made
    made.close()


def test_work_runs_in_its_order_and_one_too_many_is_refused(queue: WorkQueue) -> None:
    release, done = threading.Event(), list[int]()

    async def fill() -> None:
        first = asyncio.ensure_future(queue.run(release.wait))
        while not queue.running:
            await asyncio.sleep(0.001)
        waiting = [asyncio.ensure_future(queue.run(lambda n=n: done.append(n))) for n in range(2)]
        await asyncio.sleep(0.01)
        assert (queue.waiting, queue.running) == (2, 1)
        with pytest.raises(Problem) as refused:
            await queue.run(bool)
        assert (refused.value.status, refused.value.code) == (503, "queue_full")
        assert int(refused.value.headers["Retry-After"]) >= 1
        release.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(fill())
    assert done == [0, 1]
    assert (queue.waiting, queue.running) == (0, 0) or not queue.waiting


def test_cancelled_work_leaves_its_place_and_never_runs(queue: WorkQueue) -> None:
    release, ran = threading.Event(), list[str]()

    async def leave() -> None:
        first = asyncio.ensure_future(queue.run(release.wait))
        while not queue.running:
            await asyncio.sleep(0.001)
        gone = [asyncio.ensure_future(queue.run(lambda: ran.append("gone"))) for _ in range(2)]
        await asyncio.sleep(0.01)
        for each in gone:
            each.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert queue.waiting == 0
        stays = asyncio.ensure_future(queue.run(lambda: ran.append("stays")))
        release.set()
        await asyncio.gather(first, stays)

    asyncio.run(leave())
    assert ran == ["stays"]


def test_an_exception_reaches_the_request_that_waits(queue: WorkQueue) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(queue.run(fails))
    assert asyncio.run(queue.run(lambda: 7)) == 7


def test_no_place_at_all_still_answers_one_by_one() -> None:
    queue = WorkQueue(places=0, workers=1)
    assert asyncio.run(queue.run(lambda: 7)) == 7
    queue.close()


def test_work_that_outlives_the_event_loop_ends_quietly(queue: WorkQueue) -> None:
    release = threading.Event()

    async def abandon() -> None:
        asyncio.ensure_future(queue.run(release.wait))  # noqa: RUF006
        await asyncio.sleep(0.01)

    asyncio.run(abandon())
    release.set()
    assert asyncio.run(queue.run(lambda: 7)) == 7


class _Image:
    """What a request holds."""


def test_an_error_does_not_keep_the_image_of_its_request(queue: WorkQueue) -> None:
    """Search for cycles is rare in the service: with one in each refusal, 400 MB of bodies waited for it."""
    held: list[weakref.ref[_Image]] = []

    def work(image: _Image) -> None:
        raise ValueError(str(type(image)))

    async def refused() -> None:
        image = _Image()
        held.append(weakref.ref(image))
        with pytest.raises(ValueError, match="_Image"):
            await queue.run(partial(work, image))

    async def refuse() -> None:
        for _ in range(5):
            await asyncio.ensure_future(refused())
        await asyncio.sleep(0.05)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(refuse())
        assert [each() for each in held] == [None] * 5
    finally:
        gc.enable()
