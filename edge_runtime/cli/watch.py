"""The option ``--watch``: classify new images in a folder into a results file, until a signal stops it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.assurance.audit.recorder import NO_RECORDER, Recorder
from edge_runtime.cli.current_model import CurrentModel
from edge_runtime.cli.output import tell
from edge_runtime.cli.results_file import ResultsOptions, summary, tell_fault
from edge_runtime.cli.service import Service
from edge_runtime.cli.signals import StopSignal, follows_hangup, stops_on_signals
from edge_runtime.errors import EdgeError, ImageUnreadableError, UsageError
from edge_runtime.images.left_out import summary as summary_of_left_out
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.results.lines import ImageIdentity, Origin
from edge_runtime.results.watched_file import WatchedResults
from edge_runtime.results.watcher import DicomReason, Watch, stamp_of

if TYPE_CHECKING:
    from edge_runtime.dicom.study import StudyItem
    from edge_runtime.dicom.watched_study import WatchedStudy

DEATHS = 2
"""Number of times that the process may die at an image before the image is recorded as failed."""


def watch_folder(
    model: CurrentModel,
    folder: Path,
    filing: ResultsOptions,
    interval_s: float,
    recorder: Recorder = NO_RECORDER,
    study: WatchedStudy | None = None,
) -> None:
    """Scan the folder every ``interval_s`` seconds and classify unchanged images, until SIGINT or SIGTERM.

    Raises:
        UsageError: ``folder`` is not a folder at the start. A folder that is removed later is waited for.
    """
    if not os.path.isdir(folder):
        raise UsageError(f"{folder}: found no folder to watch. Create it first.")
    with stops_on_signals() as stop, follows_hangup(stop), filing.open_watched(model.predictor) as results:
        before = len(results)
        elsewhere = f"; {before} images were answered before" if before > results.lines else ""
        tell(f"watching {folder}; {filing.path} holds {results.lines} answers{elsewhere}.")
        watch = Watch(folder)
        watching = WatchLoop(model, watch, results, stop, Service(), recorder, study)
        watching.run(interval_s)
    done = watching.done
    if watch.left_out:
        tell(summary_of_left_out(tuple(watch.left_out.values())))
    tell(f"{filing.path}: {summary(done[False], done[True], Counter({False: before}))}")


class WatchLoop:
    """The main loop of ``--watch``.

    Attributes:
        done: number of images of this run that have a line, by whether they failed.
    """

    def __init__(
        self,
        model: CurrentModel,
        watch: Watch,
        results: WatchedResults,
        stop: StopSignal,
        service: Service,
        recorder: Recorder = NO_RECORDER,
        study: WatchedStudy | None = None,
    ) -> None:
        self._study = study
        self._model, self._watch, self._results, self._stop, self._service = model, watch, results, stop, service
        self._recorder = recorder
        self.done: Counter[bool] = Counter()
        self._unreadable: frozenset[str] = frozenset()
        self._told: set[str] = set()

    def run(self, interval_s: float) -> None:
        """Scan and classify until a signal arrives."""
        self._service.tell("READY=1", self._status())
        while self._stop.by is None:
            if self._stop.take_hangup():
                self._service.reloading()
                self._follow()
                self._service.tell("READY=1")
            self._look()
            self._service.tell(self._status())
            self._recorder.tick()
            self._stop.sleep(interval_s, self._service.alive)
        self._service.tell("STOPPING=1")
        self._service.close()

    def _look(self) -> None:
        self._service.alive()
        self._follow()
        self._watch.take_dicom(self._dicom_reason())
        found = self._watch.look(self._results)
        if self._study is not None:
            self._study.expire()
            found = [image for image in found if self._study.is_due(image.image, image.file)]
        self._tell_unreadable()
        faults = set[str]()
        for image in sorted(found, key=self._results.deaths):  # images at which the process died come last
            if self._stop.by is not None:
                break
            self._follow()
            faults |= self._answer(image)
            self._service.alive()
        self._leave_out()
        if found:
            self._results.let_go()
        self._told &= faults

    def _dicom_reason(self) -> DicomReason | None:
        """Return which DICOM files are images, for a model that accepts some."""
        if self._model.predictor.spec.dicom is None:
            return None
        from edge_runtime.dicom.parts import reason_of_object  # imported here: other models need none
        from edge_runtime.dicom.watched_study import reason_beside_marks

        return reason_of_object if self._model.predictor.spec.region is None else reason_beside_marks

    def _leave_out(self) -> None:
        """Write a line for each left-out file that a user may expect a result for."""
        for item, stamp in self._watch.take_expected():
            if ImageIdentity(item.path, stamp) not in self._results:
                self._results.leave_out(item.path, item.reason.value, stamp)

    def _follow(self) -> None:
        """Load a new version of the model, and continue in a new results file, where these were changed."""
        if self._model.refresh():
            self._results.take_over(Origin.of(self._model.predictor))
            self._recorder.admit(self._model.predictor)
        if self._results.follow():
            tell(f"{self._results.path}: was moved or removed; continuing in a new file.")

    def _answer(self, image: ImageIdentity) -> set[str]:
        """Classify one image and write its line. Write nothing if the image changed meanwhile; a later scan takes it.

        Returns:
            The error code if the machine failed, else an empty set. A later scan takes the image again.
        """
        if self._results.deaths(image) >= DEATHS:
            self._write(_killed_process(image.image), image)
            return set()
        self._results.begin(image)
        try:
            answer = self._predicted(image)
        except BaseException:
            self._results.let_go()  # an error or a second signal: the image did not kill the process
            raise
        if answer is None:
            return set()
        if isinstance(answer, Failure) and answer.of_machine:
            self._recorder.answer(answer, self._model.predictor.digest)
            if answer.error.code not in self._told:
                tell_fault(answer)
            self._told.add(answer.error.code)
            return {answer.error.code}
        if stamp_of(image.image) in (image.file, None):
            self._write(answer, image)
        return set()

    def _predicted(self, image: ImageIdentity) -> Prediction | Failure | None:
        """Return the result; None for a mark, and for an image that waits for its mark."""
        asked: str | StudyItem | Failure | None = image.image
        if self._study is not None:
            asked = self._study.to_predict(image.image, image.file, self._model.predictor.spec)
        if asked is None:
            return None
        (answer,) = self._model.predictor.predict_all([asked])
        if self._study is not None and self._study.waits(image.image, answer):
            return None
        return replace(answer, image=image.image)  # of a case, it also names the frame that decides

    def _write(self, answer: Prediction | Failure, image: ImageIdentity) -> None:
        self._results.append(answer, image.file)
        self.done[isinstance(answer, Failure)] += 1
        self._recorder.answer(answer, self._model.predictor.digest)
        self._recorder.tick()

    def _status(self) -> str:
        waiting = f"; {len(self._unreadable)} folders cannot be listed" if self._unreadable else ""
        return f"STATUS={self.done[False]} answered, {self.done[True]} failed since the start{waiting}"

    def _tell_unreadable(self) -> None:
        """Report each change in the set of folders that cannot be listed, once."""
        errors: dict[str, EdgeError] = {error.message: error for error in self._watch.unreadable}
        if errors.keys() != self._unreadable:
            for error in errors.values():
                tell(f"waiting [{error.code}]: {error.message}")
            if not errors:
                tell("every folder can be listed again.")
        self._unreadable = frozenset(errors)


def _killed_process(image: str) -> Failure:
    text = (
        f"{image}: the process died {DEATHS} times while it processed this image, expected a result. Check the image "
        "on another machine, raise the memory limit, then start the watch once with --retry-failed."
    )
    return Failure(image, ImageUnreadableError(text, code="image_kills_process"))
