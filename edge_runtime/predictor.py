"""Class :class:`Predictor`: a loaded model, the public face of the runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edge_runtime.bundle.bundle import find_files, key_in_force
from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.site_policy_in_force import load_site_policy
from edge_runtime.decision.rescaling import carried_band
from edge_runtime.decision.rule import DecisionRule
from edge_runtime.errors import ImageError, MachineError, UsageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, Source, read, source_name
from edge_runtime.images.region import Marked, Region, check_asked
from edge_runtime.images.scale import check_scale
from edge_runtime.inference.backends.base import Backend, Provider, Runtime
from edge_runtime.inference.backends.registry import choose, for_provider, ran_by
from edge_runtime.inference.config import PredictorConfig
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.inference.engine_pool import EnginePool
from edge_runtime.inference.pipeline import InferenceInput, infer, read_input
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.inference.session import ModelSession
from edge_runtime.platform.fork_safety import ForkSafeLock
from edge_runtime.platform.machine_faults import machine_faults
from edge_runtime.preprocessing.preprocessor import Preprocessor

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundle.site_policy_file import LoadedSitePolicy
    from edge_runtime.dicom.study import DicomSource, Frame, OpenedObject
    from edge_runtime.explain.explainer import Explainer
    from edge_runtime.explain.explanation import Explanation
    from edge_runtime.tiling.slide import SlidePrediction

    AnySource: TypeAlias = Source | DicomSource
    """What can be classified."""

_READABLE = (np.ndarray, str, bytes, os.PathLike)
"""Types of the sources that the reader of images takes."""


class Predictor:
    """A loaded model that classifies images. Use it as a context manager, or call :meth:`close`.

    Several threads may share one predictor; calls into the interpreter are serialised. ``digest`` is the SHA-256 of
    the bundle's ``bundle.json``. For a single model file it is the SHA-256 of that file. ``spec`` is the bundle's, with
    the thresholds of the site policy in force; ``site_policy`` names that policy and is None without one.

    A predictor from :meth:`load` can be pickled: its ``config`` is stored, and the other process loads the model again.
    """

    def __init__(
        self,
        bundle: ModelFiles,
        backend: Runtime,
        precision: Precision,
        threads: int,
        provider: Provider = Provider.CPU,
        site_policy: LoadedSitePolicy | None = None,
    ) -> None:
        """Open the model files of ``bundle``. Most programs call :meth:`load` instead."""
        if threads < 1:
            raise UsageError(f"found threads={threads}, expected 1 or more. Pass a larger number.")
        self._bundle, own = bundle, bundle.manifest.spec
        self.spec = own if site_policy is None else site_policy.policy.applied_to(own)
        self.site_policy = None if site_policy is None else site_policy.id
        self.runtime, self.provider = choose(for_provider(backend, provider), bundle.formats()), provider
        self.digest, self._ran_by = bundle.digest, ran_by(self.runtime, provider)
        files = ModelSession(bundle, self.runtime, provider, precision, threads)
        opened = files.open_first()
        self.precision, self.known_answers = files.first, files.known
        ready = Preprocessor(self.spec.steps), DecisionRule(self.spec)
        band = carried_band(files.guard_band, own.head, own.policy, self.spec.policy)
        fallback, near = files.fallback, files.familiarity_band
        self._plan = Plan(
            self.spec, *ready, files.first, band, files.open, fallback, bundle.digest, near, self.site_policy
        )
        self._engines = EnginePool(self._plan, opened)
        self._explainer: Explainer | None = None
        self._lock = ForkSafeLock()
        self.config: PredictorConfig | None = None

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
        site_policy: str | os.PathLike[str] | None = None,
    ) -> Predictor:
        """Load an installed or shipped model by its name, or a bundle or model file by its path.

        Args:
            model: a name or a path. By default the model in the environment variable ``EDGE_PREDICT_MODEL``, else
                :data:`edge_runtime.DEFAULT_MODEL`.
            backend: the interpreter; ``AUTO`` prefers litert, then tflite-runtime, then onnxruntime.
            precision: the model file to run first. If the bundle lacks it, float32 runs, else any other file.
            threads: threads inside the interpreter.
            trusted_key: a file with public keys; by default the file in ``EDGE_TRUSTED_KEY``, if that is set.
                With a key, only bundles that it signed are loaded.
            provider: the device that onnxruntime computes on. Any value except ``CPU`` selects onnxruntime.
            site_policy: the file of a site policy, whose thresholds replace the bundle's; ``"none"`` for the bundle's
                own. By default the file in ``EDGE_SITE_POLICY``, else the policy that is installed for the name.

        Raises:
            BundleError: the model is missing, altered, of an unknown format, or not signed by a trusted key; or its
                site policy is missing, altered, or of another bundle.
            BackendError: no installed interpreter can run the model, or its logits differ from the recorded ones.
        """
        name_or_path = model_in_force() if model is None else os.fspath(model)
        return cls.from_config(
            PredictorConfig(
                name_or_path,
                backend,
                precision,
                threads,
                key_in_force(trusted_key),
                provider,
                site_policy=None if site_policy is None else os.fspath(site_policy),
            )
        )

    @classmethod
    def from_config(cls, config: PredictorConfig) -> Predictor:
        """Load a model as :meth:`load` does, from the ``config`` of another predictor.

        Raises:
            IntegrityError: the model or its site policy is not the one that ``config`` names.
            BundleError, BackendError: as in :meth:`load`.
        """
        trusted = key_in_force(config.trusted_key)
        bundle = find_files(config.model, trusted_key=trusted)
        policy = load_site_policy(config.site_policy, config.model, bundle, trusted)
        config.check(bundle.digest, policy)
        predictor = cls(bundle, config.backend, config.precision, config.threads, config.provider, policy)
        predictor.config = config.resolved(predictor.runtime, bundle.digest, policy)
        return predictor

    def __reduce__(self) -> tuple[Callable[[PredictorConfig], Predictor], tuple[PredictorConfig]]:
        """Pickle the configuration alone."""
        if self.config is None:
            raise TypeError("found a Predictor of an open bundle, expected one from Predictor.load. It can be pickled.")
        return type(self).from_config, (self.config,)

    def predict(
        self,
        image: AnySource,
        *,
        region: Region | tuple[float, float, float] | None = None,
        order: ColourOrder = ColourOrder.RGB,
        name: str | None = None,
        microns_per_pixel: float | None = None,
        frame: Frame = None,
        marks: Sequence[Any] = (),
    ) -> Prediction:
        """Classify one image, or one region of it.

        Args:
            image: a path, the bytes of an encoded file, or an array: uint8, H×W grey or H×W×3 colour. Also a DICOM
                file or a data set of pydicom, for a model whose spec accepts it.
            region: a circle: centre x, centre y and radius in pixels, from the centre of the upper left pixel. Models
                whose spec has a region rule require it; other models reject it. For DICOM, in stored pixels.
            order: channel order of an H×W×3 array; it is ignored for files. Arrays from OpenCV are BGR.
            name: name of the image in the prediction and in errors.
            microns_per_pixel: scale of the image, if it is known. A model whose spec has a scale rejects an image
                whose stated scale differs by more than 10 %. Without a statement nothing is checked.
            frame: for DICOM, a frame number from 1, or ``FrameChoice.ALL`` for all frames as one case: the prediction
                is that of the frame with the highest score among those with the most serious decision.
            marks: for DICOM, presentation states or reports (paths, bytes or data sets) that mark the region.

        Raises:
            ImageError: the image or its region is not valid for this model, or its scale is wrong.
            RegionError: the model requires a region and none is given, or it takes none and one is given.
            UsageError: a scale is given, and is no number above 0 or the model's spec has none.
            BackendError: the network returned NaN or infinity, or the predictor is closed.
            MachineError: memory, file descriptors or I/O failed.
        """
        if microns_per_pixel is not None:
            check_scale(name or source_name(image), microns_per_pixel, self.spec.microns_per_pixel, self.spec.name)
        marked = None if region is None else Region.of(region)
        return self._predict(self._engines.first, image, marked, order, name, frame, marks)

    def predict_decoded(self, image: DecodedImage, region: Region | None = None) -> Prediction:
        """Classify an image that is decoded already; ``region`` is in its pixels. Raises as :meth:`predict`."""
        return self._infer(self._decoded(image, region))

    def explain_decoded(
        self, image: DecodedImage, region: Region | None = None, label: str | None = None
    ) -> Explanation:
        """Classify a decoded image, with a heatmap. Raises as :meth:`explain`."""
        return self._explained(self._decoded(image, region), label)

    def explain(
        self,
        image: AnySource,
        *,
        label: str | None = None,
        region: Region | tuple[float, float, float] | None = None,
        order: ColourOrder = ColourOrder.RGB,
        name: str | None = None,
        frame: int | None = None,
        marks: Sequence[Any] = (),
    ) -> Explanation:
        """Classify one image as :meth:`predict` does, and compute a heatmap of where the score comes from.

        Args:
            image: as in :meth:`predict`.
            label: the label that the heatmap explains; by default the predicted label.
            region: as in :meth:`predict`.
            order: as in :meth:`predict`.
            name: as in :meth:`predict`.
            frame: for DICOM, a frame number from 1. Heatmap and box are in pixels of the classified image, which may
                be a part of the stored ones.
            marks: as in :meth:`predict`.

        Raises:
            SaliencyError: the bundle contains no parts for heatmaps.
            UsageError: the model has no such label, or the bundle has no float32 file, which heatmaps require.
            ImageError, RegionError, BackendError, MachineError: as in :meth:`predict`.
        """
        marked = None if region is None else Region.of(region)
        opened = self._opened(image, marked, order, name, frame, marks)
        if isinstance(opened, InferenceInput):
            return self._explained(opened, label)
        found, stored = opened.image(self.spec, opened.one_frame(), marked)
        explanation = self.explain_decoded(found.decoded(), found.inside(stored), label)
        return replace(explanation, prediction=found.told(explanation.prediction, stored))

    def _explained(self, preprocessed: InferenceInput, label: str | None) -> Explanation:
        from edge_runtime.explain.explainer import Explainer  # imported here: most predictions need no heatmap

        with self._lock.held:
            self._explainer = self._explainer or Explainer(self._bundle, self._plan)
        prediction = self._infer(preprocessed)
        return self._explainer.explain(preprocessed, prediction, self._engines.first, label)

    def predict_all(
        self, images: Iterable[AnySource | Marked | Failure], *, workers: int = 1, processes: bool = False
    ) -> Iterator[Prediction | Failure]:
        """Classify images and yield the predictions in the order of the images.

        An image that fails yields a :class:`Failure`; the following images are still classified.

        Args:
            images: images, or :class:`edge_runtime.Marked` ones for a model that requires regions. A
                :class:`Failure` is yielded in its place.
            workers: threads, each with its own interpreter. With one worker, an image is read from ``images`` only
                when its prediction is requested. Several workers read at most four images each in advance.
            processes: let the workers be processes, with this one as the first. Small images need it, as their threads
                wait for each other. The others are started once enough work is known to pay for it, so ``images`` is
                read in advance. Images that are no paths stay in this process. If the first one is none, or the model
                runs on a GPU, workers are threads. A program that uses processes needs ``if __name__ ==
                "__main__":``.

        Raises:
            UsageError: ``workers`` is less than 1.
            RegionError, BackendError: as in :meth:`predict`; all workers have stopped before it is raised.
            MachineError, BundleError: a process cannot start, or found that the model was replaced.
        """
        if workers < 1:
            raise UsageError(f"found workers={workers}, expected 1 or more. Pass a larger number.")
        if workers == 1:
            return (self._attempt(self.predict, image) for image in images)
        if processes and self.config is not None and self.provider is Provider.CPU:
            from edge_runtime.inference.processes import is_sendable, predict_in_processes  # imported here, as below

            source: Iterator[Any] = iter(images)
            first = tuple(islice(source, 1))
            images = source = chain(first, source)
            if all(map(is_sendable, first)):
                return predict_in_processes(self, partial(type(self).from_config, self.config), source, workers)
        from edge_runtime.inference.ordered_map import in_order  # imported here: one image needs no thread pool

        predicts = [partial(self._predict, engine) for engine in self._engines.take(workers)]
        return in_order([partial(self._attempt, predict) for predict in predicts], images)

    def predict_tiles(
        self,
        image: Source | DecodedImage,
        *,
        order: ColourOrder = ColourOrder.RGB,
        name: str | None = None,
        stride_px: int | None = None,
        workers: int | None = None,
        microns_per_pixel: float | None = None,
        between: Callable[[], object] | None = None,
    ) -> SlidePrediction:
        """Classify a slide, or another image larger than the model's input, tile by tile.

        If the policy has ``neighbours`` and the tiles touch, the adjacent tiles contribute to each tile's score.

        Args:
            image: as in :meth:`predict`, an image from :func:`edge_runtime.images.reader.read`, or the image of a
                slide from :func:`edge_runtime.open_slide`.
            order: as in :meth:`predict`.
            name: as in :meth:`predict`.
            stride_px: horizontal and vertical distance between tiles in pixels; by default the tiles touch.
            workers: threads, each with its own interpreter; by default one per core.
            microns_per_pixel: as in :meth:`predict`; copied into the result.
            between: called before each batch of 32 tiles, in the thread that computes it. An exception of it ends the
                call and is raised.

        Raises:
            ImageError: the image cannot be read, is smaller than one tile, or its scale is wrong.
            UsageError: ``stride_px`` or ``workers`` is less than 1, the model requires regions, or a scale is given as
                in :meth:`predict`.
            BackendError, MachineError: as in :meth:`predict`.
        """
        from edge_runtime.inference.ordered_map import cores
        from edge_runtime.tiling.lazy_image import check_scale_of
        from edge_runtime.tiling.prediction import answer_tiles  # imported here: most images are no slides

        start = perf_counter()
        check_asked(None, self.spec.region)
        with machine_faults(name or source_name(image)):
            known = name or (image.name if isinstance(image, DecodedImage) else source_name(image))
            check_scale_of(image, known, microns_per_pixel, self.spec)
            decoded = image if isinstance(image, DecodedImage) else read(image, order=order, name=name)
            ms = 1000.0 * (perf_counter() - start)
            engines = self._engines.take(cores() if workers is None else workers)
            found = answer_tiles(
                decoded, self._plan, engines, self._ran_by, stride_px=stride_px, decode_ms=ms, between=between
            )
            return found if microns_per_pixel is None else replace(found, microns_per_pixel=microns_per_pixel)

    def _attempt(self, predict: Callable[..., Prediction], item: AnySource | Marked | Failure) -> Prediction | Failure:
        if isinstance(item, Failure):
            return item.by(self.digest)
        image, region = (item.image, item.region) if isinstance(item, Marked) else (item, None)
        try:
            return predict(image, region=region)
        except (ImageError, MachineError) as error:
            return Failure(source_name(image), error, region, self.digest)

    def _predict(
        self,
        engine: Engine,
        image: AnySource,
        region: Region | None = None,
        order: ColourOrder = ColourOrder.RGB,
        name: str | None = None,
        frame: Frame = None,
        marks: Sequence[Any] = (),
    ) -> Prediction:
        opened = self._opened(image, region, order, name, frame, marks)
        if isinstance(opened, InferenceInput):
            return infer(self._plan, engine, opened, self._ran_by)
        from edge_runtime.dicom.classification import predict_object  # imported here: most images are no DICOM

        return predict_object(self._plan, engine, opened, region, self._ran_by)

    def _opened(
        self,
        image: AnySource,
        region: Region | None,
        order: ColourOrder,
        name: str | None,
        frame: Frame,
        marks: Sequence[Any],
    ) -> InferenceInput | OpenedObject:
        """Return an image, preprocessed, or a DICOM object, opened.

        The reader of images says what is no image, so an ordinary image takes the shortest way.
        """
        if frame is None and not marks and isinstance(image, _READABLE):
            try:
                return read_input(self._plan, image, region, order, name)
            except ImageError as error:
                from edge_runtime.images.discovery import may_be_dicom  # imported here: images need none of it

                if error.code != "image_format" or not may_be_dicom(image):
                    raise
        from edge_runtime.dicom.classification import open_source  # imported here, as above

        return open_source(self._plan, image, region, order, name, frame, marks)

    def _decoded(self, image: DecodedImage, region: Region | None) -> InferenceInput:
        return read_input(self._plan, image, region, image.order, None)

    def _infer(self, preprocessed: InferenceInput) -> Prediction:
        return infer(self._plan, self._engines.first, preprocessed, self._ran_by)

    @property
    def _backend(self) -> Backend:
        return self._engines.first.backend

    def _exact_backend(self) -> Backend:
        return self._engines.first.exact.backend

    def close(self) -> None:
        """Release the interpreters."""
        self._engines.close()

    def __enter__(self) -> Predictor:
        """Return the predictor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the interpreters."""
        self.close()
