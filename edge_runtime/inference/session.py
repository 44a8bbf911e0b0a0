"""Class :class:`ModelSession`: selects the model files of a bundle that run, and opens interpreters for them.

Each file must reproduce the logits of the bundle's golden vectors before it is used.
"""

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
"""Precisions to try, in this order, if the bundle lacks the requested one."""


class ModelSession:
    """The model files of one format. Each call of :meth:`open` returns a new interpreter.

    Attributes:
        first: the precision that runs first: the requested one, or its replacement.
        fallback: reason of the fallback to float32; None if there was none.
        known: precision → result of the golden vectors, for the files that were opened.
    """

    def __init__(
        self, bundle: ModelFiles, runtime: Runtime, provider: Provider, precision: Precision, threads: int
    ) -> None:
        """Select the first precision. No file is read yet."""
        self._bundle, self._runtime, self._provider, self._threads = bundle, runtime, provider, threads
        self._contents: dict[Precision, bytes] = {}
        self.first = next(p for p in (precision, *_INSTEAD) if self._has(p))
        self.fallback: Fallback | None = None
        self.known: dict[Precision, KnownAnswers] = {}

    @property
    def guard_band(self) -> float:
        """Distance from a threshold within which float32 decides; 0 if the first file is exact or float32 is absent.

        Within this distance, rounding in the first file can move a score across the threshold.
        """
        guarded = self.first in ROUNDED and self._has(Precision.FLOAT32)
        return self._bundle.manifest.guard_band if guarded else 0.0

    @property
    def familiarity_band(self) -> float:
        """Distance from the out-of-distribution limit within which float32 decides; 0 as for :attr:`guard_band`."""
        guarded = self.first in ROUNDED and self._has(Precision.FLOAT32)
        return (self._bundle.manifest.familiarity_band or 0.0) if guarded else 0.0

    def open_first(self) -> Backend:
        """Open the first file; if its logits differ from the recorded ones, fall back to the float32 file.

        Raises:
            KnownAnswersError: the logits of the float32 file differ as well, or the bundle has no float32 file.
            IntegrityError, InterpreterBrokenError: as in :meth:`open`.
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
        """Open the model file of a precision. Its bytes are read and verified only once.

        Raises:
            UsageError: the bundle has no file of that precision.
            IntegrityError: the file does not match its SHA-256 in the manifest.
            InterpreterBrokenError: the interpreter does not load, or rejects the file.
            KnownAnswersError: the logits differ on this machine from those recorded at export.
        """
        entry = self._bundle.model(FORMAT[self._runtime], precision)
        if entry is None:
            form = FORMAT[self._runtime].value
            raise UsageError(
                f"{self._bundle.where}: found no {precision.value} {form} model file. Use a bundle that has one."
            )
        content = self._contents.get(precision)
        if content is None:
            content = self._contents[precision] = self._bundle.content(entry)
        backend = open_model(content, self._runtime, threads=self._threads, provider=self._provider)
        self._require_known_answers(precision, entry, backend)
        return backend

    def _require_known_answers(self, precision: Precision, entry: FileEntry, backend: Backend) -> None:
        """Check a file against the golden vectors, once per predictor. Without golden vectors, do nothing."""
        golden = self._bundle.manifest.of_role(Role.GOLDEN)
        if not golden:
            return
        if precision not in self.known:
            name = ran_by(self._runtime, self._provider)
            self.known[precision] = known_answers.check(self._bundle, entry, golden[0], backend, name)
        answers = self.known[precision]
        if not answers.passed:
            backend.close()
            raise KnownAnswersError(
                f"{self._bundle.where}: {entry.name} on {backend.runtime.value} {backend.version} gives "
                f"logits that differ by {answers.difference:.3g} from those recorded at export, expected "
                f"at most {answers.tolerance:.3g}. Use another interpreter (--backend) or another version of it; "
                "edge-bundle selftest shows the differences."
            )

    def _has(self, precision: Precision) -> bool:
        return self._bundle.model(FORMAT[self._runtime], precision) is not None
