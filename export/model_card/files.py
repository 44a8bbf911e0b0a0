"""Tables of the model card on the exported files: parity with the Keras model, int8 share and size."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.bundle.manifest import KERAS, Attempt, FamiliarityParity, Labelled, Manifest, Parity, Role
from edge_runtime.bundle.quantisation import percent
from export.quantisation.schemes import is_peer
from training.reporting.rendering import Table


@dataclass(frozen=True)
class FileTables:
    """Tables of the exported files of a manifest."""

    manifest: Manifest

    @property
    def parity(self) -> Table:
        """Parity of each file with the Keras model."""
        head = ("file", "runtime", "max |Δ logit|", "mean", "max |Δ score|", "mean")
        return Table((*head, "flips", "after guard band", "reruns"), tuple(map(_parity, self.manifest.parity)))

    @property
    def labelled(self) -> Table:
        """Ranking, calibration and coverage of each file, and their change from the Keras model."""
        rows = self.manifest.labelled
        keras = next((row for row in rows if row.subject == KERAS), rows[0])
        floors = (part for found in rows[0].coverage for part in (f"coverage at {found.confidence:g}", "accuracy"))
        lines = ((row.subject, *_change(row, keras), *_coverage(row)) for row in rows)
        return Table(("file", "AUROC", "Δ", "calibration error", "Δ", *floors), tuple(lines))

    @property
    def heatmaps(self) -> Table:
        """Difference of each file's heatmaps from those of the network that was exported."""
        theirs = "TensorFlow's map" if self.manifest.reference is None else "the given file's map"
        difference = f"largest difference to {theirs}, share of its range"
        rows = self.manifest.map_parity or ()
        lines = ((row.file, row.runtime, str(row.images), f"{row.worst:.1e}", str(row.blank)) for row in rows)
        return Table(("file", "runtime", "images", difference, "blank maps"), tuple(lines))

    @property
    def distances(self) -> Table:
        """Parity of each file's out-of-distribution distances with the Keras model's."""
        rows = self.manifest.familiarity_parity or ()
        lines = (_distance(row) for row in rows)
        head = ("file", "images", "max |Δ distance|", "mean", "flips", "after familiarity band", "reruns")
        return Table(head, tuple(lines))

    @property
    def quantised(self) -> Table:
        """Share of each file that is int8."""
        rows = (
            (row.file, percent(row.computed), f"{row.multiply_accumulates:,}", percent(row.stored), f"{row.weights:,}")
            for row in self.manifest.quantised or ()
        )
        return Table(("file", "in 8 bits", "of multiply-accumulates", "in 8 bits", "of weights"), tuple(rows))

    @property
    def peers(self) -> Table:
        """Other quantisers and settings, and what each gained over the best scheme of the search; empty without any."""
        attempts = self.manifest.attempts
        rows = []
        for name in dict.fromkeys(attempt.file for attempt in attempts if is_peer(attempt.how)):
            tried = [attempt for attempt in attempts if attempt.file == name]
            own = [attempt for attempt in tried if attempt.images and not is_peer(attempt.how)]
            best = min(own, key=lambda each: (each.flips, each.score_mean), default=None)
            rows += [] if best is None else [_attempt(best, None)]
            rows += [_attempt(attempt, best) for attempt in tried if is_peer(attempt.how)]
        return Table(("file", "scheme", "bytes", "flips", "gained", "mean |Δ score|", "gained"), tuple(rows))

    @property
    def sizes(self) -> Table:
        """Size of each model file."""
        models = self.manifest.of_role(Role.MODEL)
        rows = ((entry.name, f"{entry.size_bytes:,}", f"{entry.size_bytes / 1e6:.2f} MB") for entry in models)
        return Table(("file", "bytes", "size"), tuple(rows))


def _attempt(row: Attempt, best: Attempt | None) -> tuple[str | None, ...]:
    """Return an attempt, and its gain over ``best``: decisions that flip no more, and the decrease of the error."""
    if row.failure or not row.images:
        return row.file, f"{row.how}: {row.failure or row.worthless}", None, None, None, None, None
    scheme = f"{row.how} (in the bundle)" if row.passed else row.how
    gained = (
        (None, None) if best is None else (f"{best.flips - row.flips:+d}", f"{best.score_mean - row.score_mean:+.2g}")
    )
    flips = f"{row.flips} of {row.images}"
    return row.file, scheme, f"{row.size_bytes:,}", flips, gained[0], f"{row.score_mean:.2g}", gained[1]


def _parity(row: Parity) -> tuple[str, ...]:
    differences = (f"{value:g}" for value in (row.logit_max, row.logit_mean, row.score_max, row.score_mean))
    return row.file, row.runtime, *differences, str(row.flips), str(row.flips_guarded), str(row.reruns)


def _distance(row: FamiliarityParity) -> tuple[str, ...]:
    differences = (f"{value:.2g}" for value in (row.difference_max, row.difference_mean))
    return row.file, str(row.images), *differences, str(row.flips), str(row.flips_guarded), str(row.reruns)


def _change(row: Labelled, keras: Labelled) -> tuple[str | None, ...]:
    change = row.auroc_change(keras)
    error = row.calibration_error - keras.calibration_error
    return _number(row.auroc), _number(change, "+"), f"{row.calibration_error:.4f}", f"{error:+.4f}"


def _coverage(row: Labelled) -> tuple[str | None, ...]:
    return tuple(part for found in row.coverage for part in (f"{found.coverage:.3f}", _number(found.accuracy)))


def _number(value: float | None, sign: str = "") -> str | None:
    return None if value is None else f"{value:{sign}.4f}"
