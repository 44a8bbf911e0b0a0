"""The story of one picture: read → prepare → run → decide."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from types import TracebackType

import numpy as np

from edge_runtime.backends import FORMAT, Backend, Runtime, choose, open_model
from edge_runtime.bundle import Bundle, find
from edge_runtime.decision import decide, margins
from edge_runtime.errors import BackendError, ImageError, UsageError
from edge_runtime.imaging import Picture, Source, read
from edge_runtime.manifest import Format, Precision
from edge_runtime.prediction import Failure, Prediction, Timing
from edge_runtime.preprocessing import prepare
from edge_runtime.steps import ColourOrder

DEFAULT_MODEL = "idc-patch"


class Predictor:
    """A loaded model that answers pictures; use as a context manager, or call :meth:`close`.

    One predictor may be used from several threads; calls into the interpreter take turns.
    """

    def __init__(self, bundle: Bundle, backend: Runtime, precision: Precision, threads: int) -> None:
        """Open ``bundle``; :meth:`load` is the usual way."""
        if threads < 1:
            raise UsageError(f"found threads={threads}, expected 1 or more.")
        self._bundle = bundle
        self.spec = bundle.manifest.spec
        self.runtime = choose(backend, bundle.formats())
        self._threads = threads
        self.precision = precision if self._has(precision) else _other(precision)
        self._backend = self._open(self.precision)
        self._exact: Backend | None = None
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        backend: Runtime = Runtime.AUTO,
        precision: Precision = Precision.INT8,
        threads: int = 1,
    ) -> Predictor:
        """Load a model that ships by its name, or a bundle or model file by its path.

        Args:
            backend: the interpreter; ``AUTO`` prefers litert, then tflite-runtime, then onnxruntime.
            precision: the file to run first; one that the bundle lacks gives way to the other.
            threads: threads inside the interpreter.

        Raises:
            BundleError: the model is missing, altered or not understood.
            BackendError: no interpreter here can run it.
        """
        return cls(find(model if isinstance(model, str) else Path(model)), backend, precision, threads)

    def predict(self, image: Source, *, order: ColourOrder = ColourOrder.RGB, name: str | None = None) -> Prediction:
        """Answer one picture.

        Args:
            image: a path, an encoded file's bytes, or an array: uint8, H×W grey or H×W×3 colour.
            order: channel order of an H×W×3 array; files know their own. OpenCV's arrays are BGR.
            name: what to call the picture in the answer and in errors.

        Raises:
            ImageError: the picture is not what the model was made for; nothing was guessed.
            BackendError: the network answered with no number, or the predictor was closed.
        """
        start = perf_counter()
        picture = read(image, order=order, min_side_px=self.spec.min_side_px, name=name)
        return self._answer(picture, start)

    def predict_all(self, images: Iterable[Source]) -> Iterator[Prediction | Failure]:
        """Answer pictures in their order; one that fails gives a :class:`Failure` and the rest go on."""
        for image in images:
            try:
                yield self.predict(image)
            except ImageError as error:
                yield Failure(_name(image), error)

    def _answer(self, picture: Picture, start: float) -> Prediction:
        decoded = perf_counter()
        tensor = prepare(picture, self.spec.steps)[np.newaxis]
        prepared = perf_counter()
        logits = _finite(self._backend.run(tensor))
        rerun = self._near_threshold(logits)
        if rerun:
            logits = _finite(self._exact_backend().run(tensor))
        ran = perf_counter()
        return Prediction(
            image=picture.name,
            model=self.spec.name,
            version=self.spec.version,
            verdict=decide(logits[0], self.spec, rerun=rerun),
            cutoff=self.spec.policy.cutoff,
            confidence_floor=self.spec.policy.confidence_floor,
            contract=self.spec.contract,
            backend=self.runtime.value,
            precision=(Precision.FLOAT32 if rerun else self.precision).value,
            ms=Timing(_ms(start, decoded), _ms(decoded, prepared), _ms(prepared, ran)),
        )

    def _near_threshold(self, logits: np.ndarray) -> bool:
        """Tell whether int8 may have been rounded across a threshold, so that float32 must decide."""
        if self.precision is not Precision.INT8 or not self._has(Precision.FLOAT32):
            return False
        band = self._bundle.manifest.guard_band
        return band > 0 and bool(margins(logits, self.spec)[0] <= band)

    def _exact_backend(self) -> Backend:
        """Open the float32 file when it is first needed."""
        with self._lock:
            if self._exact is None:
                self._exact = self._open(Precision.FLOAT32)
            return self._exact

    def _format(self) -> Format:
        return FORMAT[self.runtime]

    def _has(self, precision: Precision) -> bool:
        return self._bundle.model(self._format(), precision) is not None

    def _open(self, precision: Precision) -> Backend:
        entry = self._bundle.model(self._format(), precision)
        if entry is None:
            raise UsageError(f"{self._bundle.where}: holds no {self._format().value} model file.")
        return open_model(self._bundle.content(entry), self.runtime, threads=self._threads)

    def close(self) -> None:
        """Release the interpreters."""
        self._backend.close()
        if self._exact is not None:
            self._exact.close()

    def __enter__(self) -> Predictor:
        """Return the predictor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the interpreters."""
        self.close()


def _other(precision: Precision) -> Precision:
    return Precision.FLOAT32 if precision is Precision.INT8 else Precision.INT8


def _finite(logits: np.ndarray) -> np.ndarray:
    """Pass logits on; a network that overflows or lost its weights must not look like a NEGATIVE."""
    if not np.isfinite(logits).all():
        raise BackendError("the network answered with no number (NaN or infinity). Export the model again.")
    return logits


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000.0, 3)


def _name(image: Source) -> str:
    """Return what :func:`edge_runtime.imaging.read` calls it; also what is no picture at all has a name."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    return "array" if isinstance(image, np.ndarray) else "bytes" if isinstance(image, bytes) else "source"
