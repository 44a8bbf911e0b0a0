"""What was measured about a network: figures with intervals, calibration, subgroups, and the audit of its split."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval (bootstrap over groups), where one was taken."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def text(self) -> str:
        """Return ``0.824 [0.791, 0.855]``, or the value alone where no interval was taken."""
        return f"{self.value:.3f}" + (f" [{self.low:.3f}, {self.high:.3f}]" if self.low is not None else "")


@dataclass(frozen=True)
class ReliabilityBin:
    """Images of similar confidence.

    Attributes:
        low, high: smallest and largest confidence in it, 0..1.
        confidence, accuracy: means, 0..1.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """How far confidences are from how often they are right.

    Attributes:
        error: expected calibration error of the highest score, 0..1, biased upwards for few images; its interval is
            a *basic* bootstrap interval, in which that bias cancels instead of counting twice.
        bins: what the error was computed from, by rising confidence; empty where they were not kept.
    """

    error: Figure
    bins: tuple[ReliabilityBin, ...] = ()


@dataclass(frozen=True)
class Subgroup:
    """Figures on the images of which the data set says one thing.

    Attributes:
        trait, value: what is said, as in ``tissue`` and ``dense``.
        groups: patients, or what stands for them.
        figures: those that the images define; none has an interval where there are too few groups for one.
    """

    trait: str
    value: str
    images: int
    groups: int
    positives: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Evaluation:
    """Figures on one part of a split.

    Attributes:
        part: ``validation``, ``test``, or ``all``.
        subject: what was measured: ``keras``, a file's name, or ``baseline`` (six colour numbers).
        positives: images of the positive labels.
        confusion: rows are the truth, columns the label with the highest score, in the spec's order.
        calibration: None in what older releases wrote.
        subgroups: by what the data set says about its images; empty where it says nothing.
    """

    part: str
    subject: str
    images: int
    groups: int
    positives: int
    figures: tuple[Figure, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration | None = None
    subgroups: tuple[Subgroup, ...] = ()

    def figure(self, name: str) -> Figure:
        """Return the figure called ``name`` (KeyError if it was not measured)."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)


@dataclass(frozen=True)
class Localisation:
    """Whether heatmaps point at lesions, on the images of one part that have a marked one.

    Attributes:
        method: how the maps were made, as in the manifest.
        figures: ``hits of …``: share of maps whose largest value lies in the lesion; ``energy of …``: mean share of the
            map's sum that does; ``likeness to …``: mean rank correlation with the map of a randomised network.
    """

    part: str
    method: str
    images: int
    groups: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class NearCopies:
    """What comparing all images of a data set with each other found.

    Attributes:
        threshold: likeness (0..1) from which two images are the same.
        images: how many were compared.
        pairs: pairs at or above the threshold; ``exact`` of them have the same pixels.
        contradictions: pairs whose labels differ.
    """

    threshold: float
    pictures: int
    pairs: int
    exact: int
    contradictions: int


@dataclass(frozen=True)
class SplitAudit:
    """What was looked for in a data set and its split when a network was fitted.

    Attributes:
        shared_groups: groups with images in more than one part.
        seen_tensors: validation and test images whose tensor is that of a training image, value by value.
        near: near copies in the whole set, which stay on one side of the split; None where they were not looked for.
        notes: what whoever uses the data set must know, a sentence each.
        grouped_by: what the split keeps together, in the plural.
    """

    shared_groups: int
    seen_tensors: int
    near: NearCopies | None = None
    notes: tuple[str, ...] = ()
    grouped_by: str = "patients"
