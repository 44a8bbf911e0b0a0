"""Classify many images in several processes. Results keep the order of the images.

Of small images, most time is spent in Python, where only one thread runs at a time. So each further worker is a process
with the model of its own. This process is the first worker: it classifies while the others start, and whenever no
result has come. They get paths, a few at a time, so that a message costs little beside its images, and send back
predictions.
"""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Protocol

from edge_runtime.errors import EdgeError, MachineError
from edge_runtime.images.reader import source_name
from edge_runtime.images.region import Marked, unmarked
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.platform.machine_faults import machine_faults
from edge_runtime.platform.worker_process import WorkerDiedError, WorkerProcess

Item = str | Path | Marked | Failure
Answer = Prediction | Failure

WORTH_S = 0.5
"""Expected remaining time in seconds from which on processes are started. Until then, this process works alone."""
CHUNK = 16
"""Most images in a message to a process."""
AHEAD = 2
"""Messages that a process has at a time: one that it works on, and one that waits for it."""
SHARES = 4
"""Smallest number of messages that remain for each worker when a message is made, so that all end together."""
IN_ADVANCE = 32
"""Images that are read from the caller before this process classifies one: a folder is listed while all work."""
WINDOW_PER_WORKER = 64
"""Most parts of the batch per worker whose results wait for an earlier one. Only results are kept, no images."""


class Classifier(Protocol):
    """What a :class:`edge_runtime.Predictor` does here."""

    digest: str

    def predict_all(self, images: Sequence[Item], /) -> Iterator[Answer]:
        """Classify images one by one."""


Load = Callable[[], Classifier]
"""Loads and verifies a model; it can be pickled."""


def is_sendable(item: object) -> bool:
    """Return whether an image is a path or a region in one.

    Pixels, and DICOM objects with their marks, cost more to send than threads lose.
    """
    return isinstance(item, str | Failure) or isinstance(unmarked(item)[0], str | Path)


def predict_in_processes(first: Classifier, load: Load, images: Iterable[Item], workers: int) -> Iterator[Answer]:
    """Classify images with the results of ``first.predict_all(images)``, in their order.

    Args:
        first: classifies in this process.
        load: loads the same model in another process.
        images: read in advance, a few of them for each that this process classifies. Those for which
            :func:`is_sendable` is false stay in this process.
        workers: number of processes, this one included.

    Raises:
        MachineError: a process cannot be started, or ended before it had loaded the model.
        EdgeError: any other error of ``load``, or of ``first.predict_all``.
    """
    return _Batch(first, load, images, workers).answers()


@dataclass(eq=False)
class _Chunk:
    """Some images in a row, and their answers once they are known; ``error`` is raised after them."""

    images: Sequence[Item]
    answers: Sequence[Answer] = ()
    error: EdgeError | None = None
    is_done: bool = False

    def finish(self, answers: Sequence[Answer], error: EdgeError | None = None) -> None:
        self.answers, self.error, self.is_done = answers, error, True


def _answered(classifier: Classifier, images: Sequence[Item]) -> tuple[list[Answer], EdgeError | None]:
    """Return the answers, and the error that ended them before the last image, if there was one."""
    answers: list[Answer] = []
    try:
        answers.extend(classifier.predict_all(images))  # what it has taken before an error stays
    except EdgeError as error:
        return answers, error
    return answers, None


class _Answering:
    """What a process does: it loads the model when the first chunk comes, and classifies the images of each."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._classifier: Classifier | None = None

    def __call__(self, images: Sequence[Item]) -> tuple[list[Answer], EdgeError | None]:
        try:
            self._classifier = self._classifier or self._load()
        except EdgeError as error:
            return [], error
        return _answered(self._classifier, images)


@dataclass(eq=False)
class _Worker:
    """A process, and the chunks that it has.

    The first one is empty: its result says that the process is ready. An error of loading comes again with the next.
    """

    process: WorkerProcess
    chunks: deque[_Chunk] = field(default_factory=deque)

    def give(self, chunk: _Chunk) -> None:
        self.chunks.append(chunk)
        self.process.give(chunk.images)


class _Batch:
    """The images of one call: those that are left, those at work, and those whose answers wait for earlier ones."""

    def __init__(self, first: Classifier, load: Load, images: Iterable[Item], workers: int) -> None:
        self._first, self._load, self._count = first, load, workers
        self._source = iter(images)
        self._left: deque[Item] = deque()
        self._own: deque[_Chunk] = deque()  # for this process alone
        self._returned: deque[_Chunk] = deque()  # of a process that ended
        self._pending: deque[_Chunk] = deque()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def answers(self) -> Iterator[Answer]:
        spent, done = 0.0, 0
        try:
            while True:
                self._left.extend(islice(self._source, IN_ADVANCE))
                self._collect(timeout=0)
                yield from self._finished()
                if chunk := self._next_own():
                    began = perf_counter()
                    chunk.finish(*_answered(self._first, chunk.images))
                    spent, done = spent + perf_counter() - began, done + len(chunk.images)
                    if not self._workers and spent / done * len(self._left) > WORTH_S:
                        self._start()
                elif self._pending:
                    self._collect(timeout=None)
                else:
                    return
        finally:
            self._selector.close()
            for worker in self._workers:
                worker.process.stop()

    def _start(self) -> None:
        for _ in range(self._count - 1):
            with machine_faults("workers"):
                worker = _Worker(WorkerProcess(_Answering(self._load)))
            self._workers.append(worker)
            worker.give(_Chunk(()))
            self._selector.register(worker.process, selectors.EVENT_READ, worker)

    def _next_own(self) -> _Chunk | None:
        """Return the next images for this process, of those that nobody works on.

        None if there are none, or too many results wait for an earlier one.
        """
        if self._own:
            return self._own.popleft()
        if self._returned:
            return self._returned.popleft()
        has_room = len(self._pending) < WINDOW_PER_WORKER * self._count
        return self._append([self._left.popleft()]) if self._left and has_room else None

    def _next_to_send(self) -> _Chunk | None:
        """Return the next images for another process, of those that nobody works on; None if there are none."""
        if self._returned:
            return self._returned.popleft()
        size, images = min(CHUNK, max(1, len(self._left) // (SHARES * self._count))), list[Item]()
        while self._left and len(images) < size:
            if is_sendable(self._left[0]):
                images.append(self._left.popleft())
            elif images:
                break
            else:
                self._own.append(self._append([self._left.popleft()]))
        return self._append(images) if images else None

    def _append(self, images: Sequence[Item]) -> _Chunk:
        self._pending.append(_Chunk(images))
        return self._pending[-1]

    def _collect(self, timeout: float | None) -> None:
        """Take the results that have come, and give the processes more images."""
        for key, _ in self._selector.select(timeout) if self._workers else ():
            worker: _Worker = key.data
            try:
                answers, error = worker.process.result()
            except WorkerDiedError as died:
                self._lose(worker, died)
                continue
            worker.chunks.popleft().finish(answers, error)
            while len(worker.chunks) < AHEAD and (chunk := self._next_to_send()):
                worker.give(chunk)

    def _lose(self, worker: _Worker, died: WorkerDiedError) -> None:
        """Fail the images of the chunk that a process worked on when it ended; give its other chunk to the others.

        Raises:
            MachineError: it had not loaded the model yet.
        """
        self._selector.unregister(worker.process)
        if not worker.chunks:
            return
        lost = worker.chunks.popleft()
        if not lost.images:
            raise _lost("workers", died)
        self._returned.extend(worker.chunks)
        lost.finish([self._failure(item, died) for item in lost.images])

    def _failure(self, item: Item, died: WorkerDiedError) -> Failure:
        if isinstance(item, Failure):
            return item.by(self._first.digest)
        image, region = unmarked(item)
        name = source_name(image)
        return Failure(name, _lost(name, died), region, self._first.digest)

    def _finished(self) -> Iterator[Answer]:
        while self._pending and self._pending[0].is_done:
            chunk = self._pending.popleft()
            yield from chunk.answers
            if chunk.error is not None:
                raise chunk.error


def _lost(where: str, died: WorkerDiedError) -> MachineError:
    return MachineError(
        f"{where}: a worker process ended while it worked on this ({died}); the file itself may be valid. If memory is "
        "short, use fewer workers, then try again.",
        code="machine_worker",
    )
