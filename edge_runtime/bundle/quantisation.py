"""What a manifest says of quantising: the ways that were tried, and how much of each file has eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_runtime.serialisation.records import ABSENT


@dataclass(frozen=True)
class Attempt:
    """One way of quantising that export tried, against the Keras model on images that calibration never saw.

    Attributes:
        how: the way, in words.
        failure: why the converter could not do it; empty if it could.
        score_mean: mean |Δ positive score|, 0..1.
        flips: decisions that differ, before the guard band.
        passed: within the spec's tolerance and worth it; such an attempt is the file's last, and is in the bundle.
        worthless: why the file is no gain over float32; None if it is one, or was not within the tolerance. Size and
            shares are looked at first: such a file has no ``images`` where they decide.
    """

    file: str
    how: str
    failure: str = ""
    size_bytes: int = 0
    images: int = 0
    score_mean: float = 0.0
    flips: int = 0
    passed: bool = False
    worthless: str | None = field(default=None, metadata=ABSENT)

    def text(self) -> str:
        """Return one line for people."""
        if self.failure:
            return f"{self.file}, {self.how}: not possible, {self.failure}"
        verdict = "passed" if self.passed else "over the tolerance"
        if self.worthless is not None and not self.images:
            return f"{self.file}, {self.how}: no gain over float32, {self.worthless}"
        if self.worthless is not None:
            verdict = f"within the tolerance, but {self.worthless}"
        return (
            f"{self.file}, {self.how}: {self.flips} of {self.images} decisions flip, mean |Δ score| "
            f"{self.score_mean:.2g}, {self.size_bytes:,} bytes; {verdict}"
        )


@dataclass(frozen=True)
class QuantisedShare:
    """How much of a model file has eight bits, counted in the file.

    Attributes:
        multiply_accumulates: of one image, in convolutions, dense layers and matrix products.
        computed: share of them whose both factors have eight bits, 0..1.
        weights: numbers in the filters of those layers, biases left out.
        stored: share of them stored in eight bits, 0..1.
    """

    file: str
    multiply_accumulates: int
    computed: float
    weights: int
    stored: float

    def text(self) -> str:
        """Return one line for people."""
        return (
            f"{percent(self.computed)} of {self.multiply_accumulates:,} multiply-accumulates and "
            f"{percent(self.stored)} of {self.weights:,} weights in 8 bits"
        )


def percent(share: float) -> str:
    """Return a share, 0..1, in percent with one digit; only all is 100.0% and only nothing is 0.0%."""
    return f"{share:.1%}" if share in (0, 1) else f"{min(max(share, 0.001), 0.999):.1%}"


def without_int8(attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return the int8 files that no way of quantising served, and which are in no bundle: name → why, in a sentence."""
    names = dict.fromkeys(attempt.file for attempt in attempts)
    tried = {name: [attempt for attempt in attempts if attempt.file == name] for name in names}
    return {name: _why(name, ways) for name, ways in tried.items() if not any(way.passed for way in ways)}


def _why(name: str, ways: Sequence[Attempt]) -> str:
    impossible = sum(bool(way.failure) for way in ways)
    no_gain = [way for way in ways if way.worthless is not None]
    over = len(ways) - impossible - len(no_gain)
    counts = [(over, "over the tolerance"), (impossible, "not possible"), (len(no_gain), "no gain over float32")]
    found = ", ".join(f"{count} {what}" for count, what in counts if count)
    last = f" ({no_gain[-1].how}: {no_gain[-1].worthless})" if no_gain else ""
    return f"{name} is left out: of {len(ways)} ways of quantising, {found}{last}; float32 answers in its place"
