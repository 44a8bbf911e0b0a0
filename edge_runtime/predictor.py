"""The way of one image: read → crop a marked region → preprocess → infer → decide."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING

from edge_runtime.bundle.bundle import find_files, key_in_force
from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.decision.rule import DecisionRule
from edge_runtime.errors import ImageError, MachineError, UsageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, Source, read, source_name
from edge_runtime.images.region import Marked, Region, check_asked
from edge_runtime.inference.backends.base import Backend, Provider, Runtime
from edge_runtime.inference.backends.registry import choose, for_provider, ran_by
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.inference.pipeline import infer, read_input, since
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.inference.session import ModelSession
from edge_runtime.platform.fork_safety import ForkSafeLock
from edge_runtime.platform.machine_faults import machine_faults
from edge_runtime.preprocessing.preprocessor import Preprocessor

if TYPE_CHECKING:
    from edge_runtime.explain.explainer import Explainer
    from edge_runtime.explain.explanation import Explanation
    from edge_runtime.tiling.slide import SlidePrediction


class Predictor:
    """A loaded model that answers images; use as a context manager, or call :meth:`close`.

    One predictor may be used from several threads; calls into the interpreter take turns. ``digest`` is the SHA-256 of
    the bundle's ``bundle.json``, of a model file alone its own.
    """

    def __init__(
        self,
        bundle: ModelFiles,
        backend: Runtime,
        precision: Precision,
        threads: int,
        provider: Provider = Provider.CPU,
    ) -> None:
        """Open ``bundle``; :meth:`load` is the usual way."""
        if threads < 1:
            raise UsageError(f"found threads={threads}, expected 1 or more.")
        self._bundle = bundle
        self.spec = bundle.manifest.spec
        self.runtime, self.provider = choose(for_provider(backend, provider), bundle.formats()), provider
        self.digest, self._ran_by = bundle.digest, ran_by(self.runtime, provider)
        files = ModelSession(bundle, self.runtime, provider, precision, threads)
        opened = files.open_first()
        self.precision, self.known_answers = files.first, files.known
        ready = Preprocessor(self.spec.steps), DecisionRule(self.spec)
        band, fallback = files.guard_band, files.fallback
        self._plan = Plan(self.spec, *ready, files.first, band, files.open, fallback, bundle.digest)
        self._engine = Engine(self._plan, opened)
        self._more: list[Engine] = []
        self._explainer: Explainer | None = None
        self._lock = ForkSafeLock()

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: Runtime = Runtime.AUTO,
        precision: Precision = Precision.INT8,
        threads: int = 1,
        trusted_key: Path | None = None,
        provider: Provider = Provider.CPU,
    ) -> Predictor:
        """Load a model that is installed or ships by its name, or a bundle or model file by its path.

        Args:
            model: None: the one that ``EDGE_PREDICT_MODEL`` names, else :data:`edge_runtime.DEFAULT_MODEL`.
            backend: the interpreter; ``AUTO`` prefers litert, then tflite-runtime, then onnxruntime.
            precision: the file to run first; one that the bundle lacks gives way to float32, then to another.
            threads: threads inside the interpreter.
            trusted_key: a file with public keys; by default the one that ``EDGE_TRUSTED_KEY`` names, if it does.
                Nothing loads then but a bundle that one of them signed.
            provider: what onnxruntime computes with; another than the processor makes it the interpreter.

        Raises:
            BundleError: the model is missing, altered, not understood, or not signed by a trusted key.
            BackendError: no interpreter here can run it, or it gives other answers here than where the bundle was made.
        """
        wanted = model_in_force() if model is None else os.fspath(model)
        found = find_files(wanted, trusted_key=key_in_force(trusted_key))
        return cls(found, backend, precision, threads, provider)

    def predict(
        self,
        image: Source,
        *,
        region: Region | tuple[float, float, float] | None = None,
        order: ColourOrder = ColourOrder.RGB,
        name: str | None = None,
    ) -> Prediction:
        """Answer one image, or about one region of it.

        Args:
            image: a path, an encoded file's bytes, or an array: uint8, H×W grey or H×W×3 colour.
            region: what is asked about, for a model whose spec has a region rule: centre x and y from the upper left
                pixel's centre, and radius, in pixels.
            order: channel order of an H×W×3 array; files know their own. OpenCV's arrays are BGR.
            name: what to call the image in the answer and in errors.

        Raises:
            ImageError: the image, or its region, is not what the model was made for; nothing was guessed.
            RegionError: the model is asked about a region and none is given, or the other way round.
            BackendError: the network answered with no number, or the predictor was closed.
            MachineError: memory, descriptors or I/O failed.
        """
        wanted = None if region is None else Region.of(region)
        return self._predict(self._engine, image, wanted, order, name)

    def explain(
        self,
        image: Source,
        *,
        label: str | None = None,
        region: Region | tuple[float, float, float] | None = None,
        order: ColourOrder = ColourOrder.RGB,
        name: str | None = None,
    ) -> Explanation:
        """Answer one image as :meth:`predict` does, and show where in it the answer comes from.

        Args:
            image: as :meth:`predict`.
            label: the label that the heatmap is to speak for; by default the answer's own.
            region: as :meth:`predict`.
            order: as :meth:`predict`.
            name: as :meth:`predict`.

        Raises:
            SaliencyError: the model's bundle holds nothing for heatmaps.
            UsageError: it has no such label, or no float32 file, which heatmaps are made from.
            ImageError, RegionError, BackendError, MachineError: as :meth:`predict`.
        """
        from edge_runtime.explain.explainer import Explainer  # here: most answers are given without

        with self._lock.held:
            self._explainer = self._explainer or Explainer(self._bundle, self._plan)
        wanted = None if region is None else Region.of(region)
        preprocessed = read_input(self._plan, image, wanted, order, name)
        prediction = infer(self._plan, self._engine, preprocessed, self._ran_by)
        return self._explainer.explain(preprocessed, prediction, self._engine, label)

    def predict_all(
        self, images: Iterable[Source | Marked | Failure], *, workers: int = 1
    ) -> Iterator[Prediction | Failure]:
        """Answer images in their order; one that fails gives a :class:`Failure` and the rest go on.

        Args:
            images: images, or for a model that is asked about regions :class:`edge_runtime.Marked` ones; what has
                failed already is passed on in its place.
            workers: threads that read and answer, each with an interpreter of its own. One answers each image
                before it asks for the next; more ask for at most four images each in advance, however many there
                are.

        Raises:
            UsageError: ``workers`` is less than 1.
            RegionError, BackendError: as :meth:`predict`; the workers have stopped by then.
        """
        if workers < 1:
            raise UsageError(f"found workers={workers}, expected 1 or more.")
        if workers == 1:
            return (self._attempt(self.predict, image) for image in images)
        from edge_runtime.inference.ordered_map import in_order  # here: one image starts without thread pools

        predicts = [
            partial(self._predict, engine, order=ColourOrder.RGB, name=None) for engine in self._engines(workers)
        ]
        return in_order([partial(self._attempt, predict) for predict in predicts], images)

    def predict_tiles(
        self,
        image: Source | DecodedImage,
        *,
        order: ColourOrder = ColourOrder.RGB,
        name: str | None = None,
        stride_px: int | None = None,
        workers: int | None = None,
    ) -> SlidePrediction:
        """Answer an image that is larger than what the model was made for, tile by tile.

        Where the policy has ``neighbours`` and the tiles touch, those around a tile count in its answer.

        Args:
            image: as :meth:`predict`; or what :func:`edge_runtime.images.reader.read` gave.
            order: as :meth:`predict`.
            name: as :meth:`predict`.
            stride_px: distance between two tiles, both ways; by default they touch.
            workers: threads, each with an interpreter of its own; by default one for each core.

        Raises:
            ImageError: the image cannot be read, or not one tile fits into it.
            UsageError: ``stride_px`` or ``workers`` is less than 1, or the model is asked about regions.
            BackendError, MachineError: as :meth:`predict`.
        """
        from edge_runtime.inference.ordered_map import cores
        from edge_runtime.tiling.prediction import answer_tiles  # here: most images are no slides

        start = perf_counter()
        check_asked(None, self.spec.region)
        with machine_faults(name or source_name(image)):
            decoded = image if isinstance(image, DecodedImage) else read(image, order=order, name=name)
            ms, engines = since(start, perf_counter()), self._engines(cores() if workers is None else workers)
            return answer_tiles(decoded, self._plan, engines, self._ran_by, stride_px=stride_px, decode_ms=ms)

    def _attempt(self, predict: Callable[..., Prediction], item: Source | Marked | Failure) -> Prediction | Failure:
        if isinstance(item, Failure):
            return item.by(self.digest)
        image, region = (item.image, item.region) if isinstance(item, Marked) else (item, None)
        try:
            return predict(image, region=region)
        except (ImageError, MachineError) as error:
            return Failure(source_name(image), error, region, self.digest)

    def _predict(
        self, engine: Engine, image: Source, region: Region | None, order: ColourOrder, name: str | None
    ) -> Prediction:
        return infer(self._plan, engine, read_input(self._plan, image, region, order, name), self._ran_by)

    def _engines(self, count: int) -> list[Engine]:
        """Return ``count`` engines; those beyond the first are opened when they are first needed, and kept."""
        if count < 1:
            raise UsageError(f"found workers={count}, expected 1 or more.")
        with self._lock.held:
            while len(self._more) < count - 1:
                self._more.append(Engine(self._plan))
            return [self._engine, *self._more[: count - 1]]

    @property
    def _backend(self) -> Backend:
        return self._engine.backend

    def _exact_backend(self) -> Backend:
        return self._engine.exact.backend

    def close(self) -> None:
        """Release the interpreters."""
        for engine in (self._engine, *self._more):
            engine.close()

    def __enter__(self) -> Predictor:
        """Return the predictor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the interpreters."""
        self.close()
