"""The known-answer check: a model file is used on a machine only if it reproduces the logits of the exporting machine.

The golden images of the bundle are preprocessed and run by the interpreter that will be used for predictions. The
result is cached (:mod:`edge_runtime.golden.known_answers_cache`), so that the check runs once for each file,
interpreter and processor.
"""

from __future__ import annotations

from math import isfinite
from time import perf_counter

from edge_runtime.bundle.containers import MANIFEST
from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.runtime_manifest import FileEntry
from edge_runtime.errors import BackendError
from edge_runtime.golden import known_answers_cache
from edge_runtime.inference.backends.base import Backend
from edge_runtime.serialisation.frozen import dataclass


@dataclass(frozen=True)
class KnownAnswers:
    """The result of the known-answer check of one model file on one interpreter.

    Attributes:
        file: the model file's name.
        difference: difference between its logits and the recorded ones (:func:`judged_difference`).
        tolerance: largest difference that passes.
        ms: wall-clock time of the check in milliseconds; None if the result comes from the cache.
        kept: whether the result is in the cache.
    """

    file: str
    difference: float
    tolerance: float
    ms: float | None
    kept: bool

    @property
    def passed(self) -> bool:
        """Whether the file may be used on this machine."""
        return isfinite(self.difference) and self.difference <= self.tolerance


def check(bundle: ModelFiles, entry: FileEntry, golden: FileEntry, backend: Backend, ran_by: str) -> KnownAnswers:
    """Return the cached result of this file's check on this machine, or replay the golden vectors.

    Args:
        bundle: the bundle of the file.
        entry: the model file.
        golden: the golden vectors.
        backend: the model file, opened.
        ran_by: the backend's name in predictions.

    Raises:
        BundleError: the golden vectors are altered, unreadable or belong to another model.
    """
    stamp = known_answers_cache.Stamp.of((bundle.digest, entry.sha256), f"{ran_by} {backend.version}")
    found = stamp.read()
    if found is not None:
        return KnownAnswers(entry.name, *found, ms=None, kept=True)
    start = perf_counter()
    difference, tolerance = _replayed(bundle, entry, golden, backend)
    ms = round((perf_counter() - start) * 1000.0, 1)
    return KnownAnswers(entry.name, difference, tolerance, ms, stamp.write(difference, tolerance))


def _replayed(bundle: ModelFiles, entry: FileEntry, golden: FileEntry, backend: Backend) -> tuple[float, float]:
    """Replay the golden vectors; return the difference of the logits, and the tolerance.

    The difference is infinite if the file fails to run, or if its out-of-distribution distances differ too much.
    """
    from edge_runtime.bundle.manifest_file import parse_manifest  # imported here, as below: most starts use the cache
    from edge_runtime.golden.inputs import load_golden, tensors_of
    from edge_runtime.golden.logits import distance_difference, distance_tolerance, judged_difference, logit_tolerance

    manifest = parse_manifest(bundle.manifest_bytes(), f"{bundle.where}/{MANIFEST}")
    vectors = load_golden(bundle, golden)
    tolerance = logit_tolerance(entry, manifest)
    tensors, check = tensors_of(vectors, manifest.spec), manifest.spec.network_check
    try:
        if check is None:
            logits = backend.run(tensors)
        else:
            logits, moments = backend.run_with_moments(tensors)
            distances = check.distances_of(moments)
            if not distance_difference(distances, vectors.distances[entry.name]) <= distance_tolerance(entry, manifest):
                return float("inf"), tolerance
    except BackendError:
        return float("inf"), tolerance
    difference = judged_difference(entry, logits, vectors.logits[entry.name])
    return (difference if isfinite(difference) else float("inf")), tolerance
