"""Which of a bundle's model files run, and the interpreters that run them."""

from __future__ import annotations

from edge_runtime.backends import FORMAT, Backend, Provider, Runtime, open_model
from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.runnable import ROUNDED, Precision
from edge_runtime.errors import UsageError

_INSTEAD = (Precision.FLOAT32, Precision.INT8, Precision.FLOAT16)
"""Which file runs where the wanted one is not in the bundle: the exact one, if it is there."""


class Files:
    """The model files of one format, opened as often as engines ask for them.

    Attributes:
        first: the precision that answers first: the wanted one, or what runs in its place.
        guard_band: distance from a threshold within which the first file may round across it; 0 if no other file
            decides there.
    """

    def __init__(
        self, bundle: ModelFiles, runtime: Runtime, provider: Provider, wanted: Precision, threads: int
    ) -> None:
        """Choose; nothing is read yet."""
        self._bundle, self._runtime, self._provider, self._threads = bundle, runtime, provider, threads
        self._contents: dict[Precision, bytes] = {}
        self.first = next(p for p in (wanted, *_INSTEAD) if self._has(p))
        guarded = self.first in ROUNDED and self._has(Precision.FLOAT32)
        self.guard_band = bundle.manifest.guard_band if guarded else 0.0

    def open(self, precision: Precision) -> Backend:
        """Open a file; its bytes are read and verified once, however many interpreters run them.

        Raises:
            UsageError: the bundle holds none of that precision.
            IntegrityError: it is not the one that the manifest names.
            InterpreterBrokenError: the interpreter does not start here, or refuses it.
        """
        content = self._contents.get(precision)
        if content is None:
            form = FORMAT[self._runtime]
            entry = self._bundle.model(form, precision)
            if entry is None:
                raise UsageError(f"{self._bundle.where}: holds no {precision.value} {form.value} model file.")
            content = self._contents[precision] = self._bundle.content(entry)
        return open_model(content, self._runtime, threads=self._threads, provider=self._provider)

    def _has(self, precision: Precision) -> bool:
        return self._bundle.model(FORMAT[self._runtime], precision) is not None
