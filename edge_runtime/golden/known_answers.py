"""A model file is trusted on a machine once it has given the answers there that it gave where the bundle was made.

The golden images of the bundle are prepared and run by the very interpreter that will answer. What was found is kept
for the next start (:mod:`edge_runtime.golden.known_answers_cache`), so that it is paid once for each file,
interpreter and processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from time import perf_counter

from edge_runtime.bundle.containers import MANIFEST
from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.runtime_manifest import FileEntry
from edge_runtime.errors import BackendError
from edge_runtime.golden import known_answers_cache
from edge_runtime.inference.backends.base import Backend


@dataclass(frozen=True)
class KnownAnswers:
    """What replaying one model file's golden vectors on one interpreter found.

    Attributes:
        file: the model file's name.
        difference: of its logits from the recorded ones (:func:`judged_difference`).
        tolerance: the largest difference that is allowed.
        ms: wall clock of the replay; None if it was done at an earlier start.
        kept: whether the next start will know.
    """

    file: str
    difference: float
    tolerance: float
    ms: float | None
    kept: bool

    @property
    def passed(self) -> bool:
        """Whether the file may answer here."""
        return isfinite(self.difference) and self.difference <= self.tolerance


def check(bundle: ModelFiles, entry: FileEntry, golden: FileEntry, backend: Backend, ran_by: str) -> KnownAnswers:
    """Return what an earlier start found for this file here; else replay the golden vectors.

    Args:
        golden: the entry of the bundle's golden vectors.
        backend: the file, opened.
        ran_by: what answers name as their backend.

    Raises:
        BundleError: the golden vectors are altered, unreadable or another model's.
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
    """Return the judged difference, infinite where the file gives no numbers, and the tolerance."""
    from edge_runtime.bundle.manifest_file import parse_manifest  # here, as below: most starts read a stamp
    from edge_runtime.golden.inputs import load_golden, tensors_of
    from edge_runtime.golden.logits import judged_difference, logit_tolerance

    manifest = parse_manifest(bundle.manifest_bytes(), f"{bundle.where}/{MANIFEST}")
    vectors = load_golden(bundle, golden)
    tolerance = logit_tolerance(entry, manifest)
    try:
        logits = backend.run(tensors_of(vectors, manifest.spec))
    except BackendError:
        return float("inf"), tolerance
    difference = judged_difference(entry, logits, vectors.logits[entry.name])
    return (difference if isfinite(difference) else float("inf")), tolerance
