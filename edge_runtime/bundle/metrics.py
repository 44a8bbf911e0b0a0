"""Measured figures of a network: values with intervals, calibration, subgroups, and the audit of its split."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_runtime.serialisation.records import ABSENT


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval (bootstrap over groups); ``low`` and ``high`` are None without one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def text(self) -> str:
        """Return the value with its interval, such as ``0.824 [0.791, 0.855]``, or the value alone without one."""
        return f"{self.value:.3f}" + (f" [{self.low:.3f}, {self.high:.3f}]" if self.low is not None else "")


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram: images of similar confidence.

    Attributes:
        low, high: smallest and largest confidence in the bin, 0..1.
        confidence, accuracy: means over the bin, 0..1.
        count: number of images.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """Confidence calibration: the difference between confidence and accuracy.

    Attributes:
        error: expected calibration error of the highest score, 0..1. It is biased upwards for few images. The interval
            is a *basic* bootstrap interval, in which this bias cancels instead of counting twice.
        bins: bins from which the error was computed, by rising confidence; empty if they were not kept.
    """

    error: Figure
    bins: tuple[ReliabilityBin, ...] = ()


@dataclass(frozen=True)
class Subgroup:
    """Figures on the images that share one trait.

    Attributes:
        trait, value: name and value of the trait in the data set, such as ``tissue`` and ``dense``.
        groups: number of patients, or of the groups used in place of patients.
        positives: number of images of the positive labels.
        figures: all figures that are defined on these images; without intervals if there are too few groups.
    """

    trait: str
    value: str
    images: int
    groups: int
    positives: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class SiteFigures:
    """Figures on the images of one site or one scanner.

    Attributes:
        trait, value: name and value of the trait, such as ``site`` and a hospital's country; the value is ``all`` for
            all never-seen values together.
        never_seen: True if the network was fitted without any image of this value (leave-one-out); False for held-out
            patients of a value that is in the training set.
        groups: number of patients, or of the groups used in place of patients.
        positives: number of images of the positive labels.
        figures: AUROC, and sensitivity and specificity at the cut-off; only those that are defined on these images,
            and without intervals if there are too few groups.
        cutoff: the cut-off. For never-seen values it was fitted on validation patients of the other values; None if
            they allow none, or if folds with different cut-offs are together.
        shift: AUROC never seen minus AUROC in-site, of the same value; None if one of them is not defined.
    """

    trait: str
    value: str
    never_seen: bool
    images: int
    groups: int
    positives: int
    figures: tuple[Figure, ...]
    cutoff: float | None = None
    shift: Figure | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Evaluation:
    """Figures on one part of a split.

    Attributes:
        part: ``validation``, ``test``, ``all``, or ``cross-validation`` for other networks of the same recipe.
        subject: the measured model: ``keras``, a file's name, or ``baseline`` (logistic regression on six colour
            numbers).
        positives: number of images of the positive labels.
        confusion: confusion matrix; rows are the true labels, columns the labels with the highest score, in the spec's
            order.
        calibration: confidence calibration; None in manifests of older releases.
        subgroups: figures by traits of the images; empty if the data set has no traits.
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
        """Return the figure called ``name``.

        Raises:
            KeyError: it was not measured.
        """
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)


@dataclass(frozen=True)
class Localisation:
    """Agreement of heatmaps with marked lesions, on the images of one part that have a marked lesion.

    Attributes:
        method: the heatmap method, as in the manifest.
        figures: ``hits of …``: share of maps whose largest value lies in the lesion; ``energy of …``: mean share of the
            map's sum inside the lesion; ``likeness to …``: mean rank correlation with the map of a randomised network.
    """

    part: str
    method: str
    images: int
    groups: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class NearCopies:
    """Near copies in a data set, found by comparing all images with each other.

    Attributes:
        threshold: similarity (0..1) from which two images count as the same.
        pictures: number of images compared.
        pairs: number of pairs at or above the threshold.
        exact: number of pairs with the same pixels.
        contradictions: number of pairs with different labels.
    """

    threshold: float
    pictures: int
    pairs: int
    exact: int
    contradictions: int


@dataclass(frozen=True)
class SplitAudit:
    """The audit of a data set and its split, made at training.

    Attributes:
        shared_groups: number of groups with images in more than one part.
        seen_tensors: number of validation and test images whose tensor equals that of a training image.
        near: near copies in the whole data set, which the split keeps in one part; None if not searched.
        notes: remarks for users of the data set, one sentence each.
        grouped_by: the groups that the split keeps together, as a plural noun.
    """

    shared_groups: int
    seen_tensors: int
    near: NearCopies | None = None
    notes: tuple[str, ...] = ()
    grouped_by: str = "patients"
