"""Which of a bundle's model files run, and the interpreters that run them; none before it has given known answers."""

from __future__ import annotations

from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.runtime_manifest import ROUNDED, FileEntry, Precision, Role
from edge_runtime.errors import KnownAnswersError, UsageError
from edge_runtime.golden import known_answers
from edge_runtime.golden.known_answers import KnownAnswers
from edge_runtime.inference.backends.base import Backend, Provider, Runtime
from edge_runtime.inference.backends.registry import FORMAT, open_model, ran_by
from edge_runtime.inference.prediction import Fallback

_INSTEAD = (Precision.FLOAT32, Precision.INT8, Precision.FLOAT16)
"""Which file runs where the wanted one is not in the bundle: the exact one, if it is there."""


class ModelSession:
    """The model files of one format, opened as often as engines ask for them.

    Attributes:
        first: the precision that answers first: the wanted one, or what runs in its place.
        fallback: why float32 answers in place of a file of the bundle; None if nothing was replaced.
        known: precision → what replaying its golden vectors found, of the files that were opened.
    """

    def __init__(
        self, bundle: ModelFiles, runtime: Runtime, provider: Provider, wanted: Precision, threads: int
    ) -> None:
        """Choose; nothing is read yet."""
        self._bundle, self._runtime, self._provider, self._threads = bundle, runtime, provider, threads
        self._contents: dict[Precision, bytes] = {}
        self.first = next(p for p in (wanted, *_INSTEAD) if self._has(p))
        self.fallback: Fallback | None = None
        self.known: dict[Precision, KnownAnswers] = {}

    @property
    def guard_band(self) -> float:
        """Distance from a threshold within which the first file may round across it; 0 if no other decides there."""
        guarded = self.first in ROUNDED and self._has(Precision.FLOAT32)
        return self._bundle.manifest.guard_band if guarded else 0.0

    def open_first(self) -> Backend:
        """Open the file that answers first; where it gives other answers than are known, the float32 file.

        Raises:
            KnownAnswersError: the float32 file does so, too, or there is none.
            IntegrityError, InterpreterBrokenError: as :meth:`open`.
        """
        try:
            return self.open(self.first)
        except KnownAnswersError:
            if self.first is Precision.FLOAT32 or not self._has(Precision.FLOAT32):
                raise
        backend = self.open(Precision.FLOAT32)
        self.first, self.fallback = Precision.FLOAT32, Fallback.KNOWN_ANSWERS_DIFFER
        return backend

    def open(self, precision: Precision) -> Backend:
        """Open a file; its bytes are read and verified once, however many interpreters run them.

        Raises:
            UsageError: the bundle holds none of that precision.
            IntegrityError: it is not the one that the manifest names.
            InterpreterBrokenError: the interpreter does not start here, or refuses it.
            KnownAnswersError: it gives other logits here than where the bundle was made.
        """
        entry = self._bundle.model(FORMAT[self._runtime], precision)
        if entry is None:
            form = FORMAT[self._runtime].value
            raise UsageError(f"{self._bundle.where}: holds no {precision.value} {form} model file.")
        content = self._contents.get(precision)
        if content is None:
            content = self._contents[precision] = self._bundle.content(entry)
        backend = open_model(content, self._runtime, threads=self._threads, provider=self._provider)
        self._require_known_answers(precision, entry, backend)
        return backend

    def _require_known_answers(self, precision: Precision, entry: FileEntry, backend: Backend) -> None:
        """Check a file once for this predictor; a bundle without golden vectors gives nothing to check by."""
        golden = self._bundle.manifest.of_role(Role.GOLDEN)
        if not golden:
            return
        if precision not in self.known:
            name = ran_by(self._runtime, self._provider)
            self.known[precision] = known_answers.check(self._bundle, entry, golden[0], backend, name)
        found = self.known[precision]
        if not found.passed:
            backend.close()
            raise KnownAnswersError(
                f"{self._bundle.where}: {entry.name} on {backend.runtime.value} {backend.version} gives "
                f"logits that differ by {found.difference:.3g} from those recorded where the bundle was made, expected "
                f"at most {found.tolerance:.3g}. Use another interpreter (--backend), or another release of it; "
                "edge-bundle selftest shows what differs."
            )

    def _has(self, precision: Precision) -> bool:
        return self._bundle.model(FORMAT[self._runtime], precision) is not None
