"""Replay golden vectors on this machine: bytes → tensor → logits → decision, without TensorFlow.

The bundle contains images with the results of the exporting machine. The self-test repeats each step with the code of
normal predictions, on every installed interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.bundle import MANIFEST, Bundle
from edge_runtime.bundle.manifest import FileEntry, Manifest, Precision, Role
from edge_runtime.decision.scores import scores_of
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import BackendError, BundleError
from edge_runtime.golden import inputs
from edge_runtime.golden.logits import Logits, distance_tolerance, logit_tolerance
from edge_runtime.golden.vectors import GOLDEN, Golden
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.backends.registry import FORMAT, REMEDY, choose, for_provider, installed, open_model, ran_by
from edge_runtime.predictor import Predictor
from edge_runtime.selftest.certificate import SCHEMA, Certificate, Check, NotRun, Step
from edge_runtime.selftest.comparison import (
    compare_decisions,
    compare_distances,
    compare_logits,
    compare_maps,
    compare_tensors,
)
from edge_runtime.selftest.golden_predictions import golden_decision, golden_map
from edge_runtime.selftest.machine import this_machine


@dataclass(frozen=True)
class _Place:
    """An interpreter with its execution provider."""

    runtime: Runtime
    provider: Provider

    @property
    def name(self) -> str:
        return ran_by(self.runtime, self.provider)


def selftest(bundle: Bundle, provider: Provider = Provider.CPU, runtime: Runtime = Runtime.AUTO) -> Certificate:
    """Replay the golden vectors of ``bundle`` on every installed interpreter, or on one.

    Args:
        bundle: the bundle to test.
        provider: execution provider of onnxruntime; with a provider other than the CPU, only onnxruntime is tested.
        runtime: the only interpreter to test; ``AUTO`` tests all of them.

    Raises:
        BundleError: a file is altered, or there are no golden vectors (``golden_missing``,
            ``golden_unreadable``, ``golden_mismatch``).
        InterpreterMissingError: no installed interpreter can run any of the model files.
        ImageError: a golden image cannot be read on this machine.
    """
    manifest = bundle.manifest
    golden = load_golden(bundle)
    bundle.verify()
    choose(for_provider(Runtime.AUTO, provider), bundle.formats())
    tensors = inputs.tensors_of(golden, manifest.spec)
    places = [place for place in _places(bundle, provider) if runtime in (Runtime.AUTO, place.runtime)]
    replayed = [check for place in places for check in _on(place, bundle, golden, tensors)]
    checks = (compare_tensors(golden, tensors, manifest.spec), *replayed)
    return Certificate(
        schema=SCHEMA,
        passed=all(check.passed for check in checks),
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        bundle=manifest.spec.name,
        version=manifest.spec.version,
        contract=manifest.contract,
        files={entry.name: entry.sha256 for entry in manifest.files},
        machine=this_machine(),
        checks=checks,
        not_run=_not_run(manifest),
    )


def replay_file(bundle: Bundle, name: str, runtime: Runtime) -> Check:
    """Compare the logits of one model file on one interpreter, and nothing else.

    A file that the interpreter rejects gives a failed check with the reason. Some operators abort the whole process, so
    call this in a process of its own if the interpreter is older than the converter.

    Args:
        name: name of a model file of the bundle, for example ``model.int8.tflite``.
        runtime: an installed interpreter of the file's format.

    Raises:
        BundleError: as :func:`selftest`.
    """
    golden = load_golden(bundle)
    bundle.verify()
    entry = next(entry for entry in bundle.manifest.of_role(Role.MODEL) if entry.name == name)
    place = _Place(runtime, Provider.CPU)
    try:
        found, _ = _outputs(bundle, entry, place, inputs.tensors_of(golden, bundle.manifest.spec))
    except BackendError as error:
        return _broken(place, error)
    return compare_logits(golden, entry, place.name, found, logit_tolerance(entry, bundle.manifest))


def load_golden(bundle: Bundle) -> Golden:
    """Return the bundle's golden vectors, after checking their SHA-256 and that they belong to this model.

    Raises:
        BundleError: see :func:`selftest`.
    """
    entries = bundle.manifest.of_role(Role.GOLDEN)
    if not entries:
        raise _missing(bundle)
    return inputs.load_golden(bundle, entries[0])


def _places(bundle: Bundle, provider: Provider) -> list[_Place]:
    """Return the installed interpreters that can run a file of the bundle with the provider."""
    if provider is not Provider.CPU:
        return [_Place(Runtime.ONNXRUNTIME, provider)]
    able = (runtime for runtime, form in FORMAT.items() if form in bundle.formats() and installed(runtime))
    return [_Place(runtime, provider) for runtime in able]


def _on(place: _Place, bundle: Bundle, golden: Golden, tensors: npt.NDArray[np.float32]) -> Iterator[Check]:
    """Yield the checks of one interpreter; if it cannot run the model, the last check has failed."""
    form = FORMAT[place.runtime]
    try:
        for entry in bundle.manifest.of_role(Role.MODEL):
            if entry.format is form:
                found, distances = _outputs(bundle, entry, place, tensors)
                tolerance = logit_tolerance(entry, bundle.manifest)
                yield compare_logits(golden, entry, place.name, found, tolerance)
                if distances is not None:
                    tolerance = distance_tolerance(entry, bundle.manifest)
                    yield compare_distances(golden, entry, place.name, distances, tolerance)
        yield compare_decisions(golden, form, place.name, _decisions(bundle, golden, place))
        if golden.maps is not None:
            yield compare_maps(golden, _maps(bundle, golden, place), place.name)
    except BackendError as error:
        yield _broken(place, error)


def _outputs(
    bundle: Bundle, entry: FileEntry, place: _Place, tensors: npt.NDArray[np.float32]
) -> tuple[Logits, npt.NDArray[np.float64] | None]:
    """Return one file's logits and out-of-distribution distances; None without a check on network features."""
    check = bundle.manifest.spec.network_check
    backend = open_model(bundle.content(entry), place.runtime, provider=place.provider)
    try:
        if check is None:
            return backend.run(tensors), None
        logits, moments = backend.run_with_moments(tensors)
        return logits, check.distances_of(moments)
    finally:
        backend.close()


def _decisions(bundle: Bundle, golden: Golden, place: _Place) -> list[Decision]:
    """Return the predictor's decisions on all golden images, as edge-predict computes them."""
    with Predictor(bundle, place.runtime, Precision.INT8, threads=1, provider=place.provider) as predictor:
        pairs = zip(golden.names, golden.images, strict=True)
        return [golden_decision(predictor, data, name) for name, data in pairs]


def _maps(bundle: Bundle, golden: Golden, place: _Place) -> list[Logits]:
    """Return the predictor's heatmaps of all golden images, for the label with the Keras model's highest score."""
    spec, saliency = bundle.manifest.spec, bundle.manifest.saliency
    classless = saliency is not None and not saliency.method.of_label
    best = scores_of(golden.keras, spec).argmax(axis=1)
    labels = [None if classless else spec.labels[i] for i in best]
    with Predictor(bundle, place.runtime, Precision.FLOAT32, threads=1, provider=place.provider) as predictor:
        rows = zip(golden.names, golden.images, labels, strict=True)
        return [golden_map(predictor, data, name, label) for name, data, label in rows]


def _broken(place: _Place, error: BackendError) -> Check:
    """Return the failed check of an installed interpreter that cannot run the model."""
    return Check(Step.LOGITS, "model files", place.name, 0, 0, None, 0.0, None, None, None, error.message, False)


def _not_run(manifest: Manifest) -> tuple[NotRun, ...]:
    found = []
    for entry in manifest.of_role(Role.MODEL):
        able = [runtime for runtime, form in FORMAT.items() if form is entry.format]
        if not any(map(installed, able)):
            found.append(NotRun(entry.name, REMEDY[able[0]]))
    return tuple(found)


def _missing(bundle: Bundle) -> BundleError:
    remedy = "Export it again with this release: python -m export."
    if MANIFEST not in bundle.names:
        remedy = "A single model file has none: name the folder or zip of its bundle."
    return BundleError(
        f"{bundle.where}: found no golden vectors, expected {GOLDEN} in the bundle. {remedy}", code="golden_missing"
    )
