"""Quantisation records of a manifest: the attempts, and the quantised share of each model file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_runtime.serialisation.records import ABSENT


@dataclass(frozen=True)
class Attempt:
    """One quantisation attempt of export, compared with the Keras model on images that were not used for calibration.

    Attributes:
        how: description of the quantisation.
        failure: why the converter failed; empty on success.
        images: number of images compared; 0 if size or shares already decided.
        score_mean: mean |Δ positive score|, 0..1.
        flips: decision flips, without the guard band.
        passed: the file is within the spec's tolerance and a gain over float32. It is the last attempt for this file,
            and it is in the bundle.
        worthless: why the file is no gain over float32; None if it is a gain or exceeds the tolerance.
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
    """The share of a model file that has 8 bits, counted in the file.

    Attributes:
        multiply_accumulates: number of multiply-accumulates for one image, in convolutions, dense layers and matrix
            products.
        computed: share of multiply-accumulates with 8 bits in both factors, 0..1.
        weights: number of weights in these layers, without biases.
        stored: share of weights stored in 8 bits, 0..1.
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
    """Return a share (0..1) in percent with one decimal; only exactly 1 is 100.0% and only exactly 0 is 0.0%."""
    return f"{share:.1%}" if share in (0, 1) else f"{min(max(share, 0.001), 0.999):.1%}"


def without_int8(attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return the int8 files that are left out because no attempt passed: name → reason, as a sentence."""
    names = dict.fromkeys(attempt.file for attempt in attempts)
    tried = {name: [attempt for attempt in attempts if attempt.file == name] for name in names}
    return {name: _why(name, ways) for name, ways in tried.items() if not any(way.passed for way in ways)}


def _why(name: str, ways: Sequence[Attempt]) -> str:
    impossible = sum(bool(way.failure) for way in ways)
    no_gain = [way for way in ways if way.worthless is not None]
    over = len(ways) - impossible - len(no_gain)
    counts = [(over, "over the tolerance"), (impossible, "not possible"), (len(no_gain), "no gain over float32")]
    found = ", ".join(f"{count} {what}" for count, what in counts if count)
    example = ""
    if no_gain:
        example = f" ({no_gain[-1].how}: {no_gain[-1].worthless})"
    elif impossible == len(ways):
        example = f" ({ways[0].how}: {ways[0].failure.rstrip('.')})"
    return f"{name} is left out: of {len(ways)} ways of quantising, {found}{example}; float32 answers in its place"
