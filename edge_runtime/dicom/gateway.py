"""The gateway: a receiver, a worker that answers what the spool holds, and a sender that delivers the results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.dicom.answer import AnyPredictor
from edge_runtime.dicom.dataset import read_dataset, silent, text
from edge_runtime.dicom.mark_store import MarkStore
from edge_runtime.dicom.marks import may_mark
from edge_runtime.dicom.own_results import own_result
from edge_runtime.dicom.peer import Peer, PeerError, accepts
from edge_runtime.dicom.pixels import NAME
from edge_runtime.dicom.receiver import Listening, Log, Receiver
from edge_runtime.dicom.results import DicomResults, facts_of, results_of
from edge_runtime.dicom.spool import Place, Spool
from edge_runtime.errors import BackendError, ImageError, MachineError
from edge_runtime.platform.machine_faults import machine_error

if TYPE_CHECKING:
    from pydicom import Dataset

    from edge_runtime.bundle.manifest import Manifest
    from edge_runtime.bundle.policy import SitePolicyId

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
"""Pauses before the next attempt on a peer or after a fault of the machine; each is twice the one before."""

LONGEST_RESULT_PAUSE_S = 600.0
"""Longest pause before a result is sent again that its peer refused."""

_LOOK_S = 1.0


class PredictorInForce(AnyPredictor, Protocol):
    """What results need of the predictor besides its answers."""

    @property
    def digest(self) -> str:
        """SHA-256 of the bundle."""

    @property
    def site_policy(self) -> SitePolicyId | None:
        """The site policy in force."""


class ModelInForce(Protocol):
    """The model that answers now."""

    manifest: Manifest

    @property
    def predictor(self) -> PredictorInForce:
        """The loaded model."""


UseModel = Callable[[], AbstractContextManager[ModelInForce]]
"""Gives the model in force, which stays open inside the context; another one may follow it at any time."""


class Gateway:
    """Takes instances in and sends reports and heatmaps out; everything in between is on the disk."""

    def __init__(
        self,
        where: Listening,
        spool: Spool,
        use_model: UseModel,
        peer: Peer,
        log: Log,
        heatmap: bool,
        mark_wait_s: float,
    ) -> None:
        """Bind the address; :meth:`start` begins to answer.

        Args:
            where: address and limits.
            spool: holds what was received and what is to be sent.
            use_model: gives the model. It is called for each instance.
            peer: takes the results.
            log: called with an event and fields; none of them is of a data set.
            heatmap: whether heatmaps are wanted.
            mark_wait_s: longest time that an image waits for its circle, and a circle for its image, in seconds.

        Raises:
            UsageError: as in :class:`edge_runtime.dicom.receiver.Receiver`.
        """
        self._spool, self._use_model = spool, use_model
        self._peer, self._log, self._heatmap = peer, log, heatmap
        self._stop, self._received, self._made = threading.Event(), threading.Event(), threading.Event()
        self._marks = MarkStore(spool, mark_wait_s)
        with use_model() as model:
            self._takes_marks = model.predictor.spec.region is not None
        self._receiver = Receiver(where, spool, self._received.set, log, keeps_reports=self._takes_marks)
        self._refused_until: dict[Path, tuple[float, float]] = {}
        self._threads = [
            threading.Thread(target=loop, name=loop.__name__, daemon=True) for loop in (self._work, self._send)
        ]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._receiver.port

    @property
    def alive(self) -> bool:
        """Whether all its threads run."""
        return self._receiver.alive and all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Work off what the spool holds from before, and answer."""
        for thread in self._threads:
            thread.start()
        self._receiver.start()

    def stop(self, grace_s: float) -> None:
        """Accept no more; end after the instance and the result at hand. The rest stays in the spool."""
        self._receiver.stop(grace_s)
        self._stop.set()
        self._received.set()
        self._made.set()
        for thread in self._threads:
            thread.join(grace_s)

    def _work(self) -> None:
        """Answer instances until the gateway stops."""
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            self._received.clear()
            if self._work_off():
                pause = FIRST_PAUSE_S
                self._received.wait(_LOOK_S)
            else:
                self._stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _work_off(self) -> bool:
        """Answer what is there. Return False if the machine failed: the instance is tried again after a pause."""
        dropped = self._marks.expire()
        if dropped:
            self._log("marks_dropped", count=dropped)
        for instance in self._spool.waiting():
            if self._stop.is_set():
                return True
            try:
                if not self._spool.begin(instance):
                    self._log("set_aside", reason="ended the process")
                    continue
                self._answer(instance)
            except (MachineError, OSError, MemoryError) as error:
                fault = machine_error(error, "spool")
                self._log("paused", code="machine_io" if fault is None else fault.code)
                self._spool.fail(instance)
                return False
        return True

    def _answer(self, instance: Path) -> None:
        try:
            self._answer_object(instance, read_dataset(instance, NAME))
        except (MachineError, OSError, MemoryError):
            raise
        except (ImageError, BackendError) as error:
            self._set_aside(instance, error.code)
        except Exception as error:  # a text of pydicom may quote a value
            self._set_aside(instance, type(error).__name__)

    def _answer_object(self, instance: Path, source: Dataset) -> None:
        """Answer an image, with all its frames as one case; keep a mark; let an image without its mark wait."""
        began = time.perf_counter()
        with silent(NAME):
            uid, is_mark = text(source, "SOPInstanceUID"), may_mark(text(source, "SOPClassUID"))
            own = own_result(source)
        if self._takes_marks and is_mark and not own:
            self._log("mark_kept" if self._marks.keep(instance, source) else "mark_without_circle")
            return
        marks = self._marks.of(uid) if self._takes_marks else ()
        with self._use_model() as model:
            facts = facts_of(model.manifest, model.predictor.digest, model.predictor.site_policy)
            found = results_of(model.predictor, facts, source, FrameChoice.ALL, marks=marks, heatmap=self._heatmap)
        if found.lacks_mark and self._marks.wait(instance, uid):
            self._log("waits_for_mark")
            return
        self._spool.finish(instance, found.instances)
        self._made.set()
        self._log("answered", results=len(found.instances), ms=_ms(began), **_said(found))

    def _set_aside(self, instance: Path, code: str) -> None:
        self._spool.move(instance, Place.REFUSED)
        self._log("set_aside", reason=code)

    def _send(self) -> None:
        """Deliver results until the gateway stops."""
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            self._made.clear()
            try:
                self._deliver()
                pause = FIRST_PAUSE_S
                self._made.wait(_LOOK_S)
            except (PeerError, OSError) as error:
                self._log(
                    "peer_fault", code=error.code if isinstance(error, PeerError) else "machine_io", pause_s=pause
                )
                self._stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _deliver(self) -> None:
        """Send what is due.

        Raises:
            PeerError: the peer does not answer, or the association ended early.
        """
        now = time.monotonic()
        due = [path for path in self._spool.outbox.results() if self._refused_until.get(path, (0.0, 0.0))[0] <= now]
        for path, status in self._peer.store(due):
            if accepts(status):
                self._spool.outbox.accepted(path)
                self._refused_until.pop(path, None)
                self._log("delivered")
            elif status is None:
                raise PeerError("peer_left")
            else:
                self._later(path, status)
            if self._stop.is_set():
                return

    def _later(self, path: Path, status: int) -> None:
        """Send a result later that the peer refused; others are not held up."""
        pause = min(2 * self._refused_until.get(path, (0.0, FIRST_PAUSE_S))[1], LONGEST_RESULT_PAUSE_S)
        self._refused_until[path] = time.monotonic() + pause, pause
        self._log("result_refused", status=f"0x{status:04X}", pause_s=pause)


def _said(found: DicomResults) -> dict[str, str]:
    """Return decision and reason, or the code of a refusal; nothing of the object."""
    if found.answer is None:
        return {"decision": "IGNORED"}
    if found.answer.prediction is not None:
        verdict = found.answer.prediction.verdict
        return {"decision": verdict.decision.value, "reason": verdict.reason.value}
    return {"decision": "NO_ANSWER", "reason": "" if found.answer.failure is None else found.answer.failure.code}


def _ms(began: float) -> int:
    return round(1000 * (time.perf_counter() - began))
