"""The scores of labelled cases at any temperature, and what a case gets from any cut-off.

A case is POSITIVE if its *deciding score* reaches the cut-off: the highest score of its images, or the highest but so
many as the case rule demands. Images that are referred or failed have no part in it. What the case gets below the
cut-off does not depend on the cut-off. Tests hold this equal to :func:`edge_runtime.assurance.outcome.outcome_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_runtime.assurance.cases import Case
from edge_runtime.assurance.outcome import Found, ImageAnswer
from edge_runtime.assurance.protocol import Counting
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Reason

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

NOTHING = -1.0
"""Deciding score of a case in which no image has a say: below every cut-off."""
_SMALLEST = 5e-324
_ONE_BELOW = 2.0**-53
"""1 minus the largest float64 below 1, halved: a score that was rounded to 1 counts as this far from it."""


@dataclass(frozen=True, eq=False)
class CaseAnswers:
    """The answers on G cases with N answered images.

    Attributes:
        spec: the bundle's own spec, with the policy that gave the answers.
        positive: bool G, whether the finding is there.
        failed: bool G, whether an image of the case was rejected.
        case: int N, index of each image's case.
        logits: float64 N×outputs, up to a constant for each image in a softmax.
        familiar: bool N, whether the image passed the out-of-distribution check.
    """

    spec: ModelSpec
    positive: Bools
    failed: Bools
    case: Indices
    logits: Floats
    familiar: Bools

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.positive)

    def only(self, chosen: Bools) -> CaseAnswers:
        """Return the cases in a mask, bool G, in their order."""
        number = np.cumsum(chosen) - 1
        images = chosen[self.case]
        return replace(
            self,
            positive=self.positive[chosen],
            failed=self.failed[chosen],
            case=number[self.case[images]],
            logits=self.logits[images],
            familiar=self.familiar[images],
        )


@dataclass(frozen=True, eq=False)
class DecidingScores:
    """What G cases get under a temperature and a confidence floor, at any cut-off.

    Attributes:
        score: float64 G, 0..1, or :data:`NOTHING`.
        below: what each case gets if its score does not reach the cut-off: NEGATIVE, REFER or FAILED, object G.
    """

    score: Floats
    below: npt.NDArray[np.object_]

    def found(self, cutoff: float) -> npt.NDArray[np.object_]:
        """Return what each case gets at a cut-off (0..1), object G of :class:`Found`."""
        found = self.below.copy()
        found[self.score >= cutoff] = Found.POSITIVE
        return found


def case_answers(cases: Sequence[Case], answers: Sequence[ImageAnswer], spec: ModelSpec) -> CaseAnswers:
    """Return the answers on all images of the cases, in their order, as arrays.

    Args:
        cases: G cases.
        answers: one for each image of each case.
        spec: the bundle's own spec, whose policy gave the answers.
    """
    number = [index for index, case in enumerate(cases) for _ in case.images]
    answered = [index for index, answer in enumerate(answers) if answer.decision is not None]
    failed = np.zeros(len(cases), np.bool_)
    failed[[number[index] for index, answer in enumerate(answers) if answer.decision is None]] = True
    scores = np.array([answers[index].scores for index in answered], np.float64).reshape(-1, len(spec.labels))
    return CaseAnswers(
        spec,
        np.array([case.positive for case in cases], np.bool_),
        failed,
        np.array([number[index] for index in answered], np.intp),
        logits_of(scores, spec),
        np.array([answers[index].reason != Reason.UNFAMILIAR_INPUT.value for index in answered], np.bool_),
    )


def logits_of(scores: Floats, spec: ModelSpec) -> Floats:
    """Return the logits of N images from their scores: the inverse of :func:`edge_runtime.decision.scores.scores_of`.

    Args:
        scores: N×labels, 0..1, in float64 as answers have them.
        spec: the spec that the scores were computed with.

    Returns:
        float64 N×outputs; for a softmax, each row lacks a constant that its scores do not show.
    """
    if spec.head is Head.PROBABILITIES:
        return scores
    logs = np.log(np.maximum(scores, _SMALLEST)) * spec.policy.temperature
    if spec.head is Head.SOFTMAX:
        return np.asarray(logs)
    if spec.head is Head.SIGMOID:
        return np.asarray(logs[:, 1:] - logs[:, :1])
    rest = np.maximum(1.0 - scores, _ONE_BELOW)
    return np.asarray(logs - np.log(rest) * spec.policy.temperature)


def deciding_scores(answers: CaseAnswers, policy: DecisionPolicy) -> DecidingScores:
    """Return what the cases get under a policy, whatever its cut-off."""
    spec, count = replace(answers.spec, policy=policy), len(answers)
    score = positive_scores(answers.logits, spec)
    confidence = scores_of(answers.logits, spec).max(axis=1) if len(score) else score
    decided = answers.familiar & (confidence >= policy.confidence_floor)
    counted, needed = decided, 1
    if policy.case is not None:
        counted, needed = decided & (confidence >= policy.case.confidence), policy.case.count
    number = np.bincount(answers.case[counted], minlength=count)
    if policy.case is None:
        referred = (np.bincount(answers.case[~decided], minlength=count) > 0) | (number == 0)
    else:
        referred = number < needed
    below = np.full(count, Found.NEGATIVE, np.object_)
    below[referred], below[answers.failed] = Found.REFER, Found.FAILED
    return DecidingScores(nth_highest(score[counted], answers.case[counted], count, needed), below)


def nth_highest(score: Floats, case: Indices, count: int, n: int) -> Floats:
    """Return the n-th highest score of each of ``count`` cases; :data:`NOTHING` for a case with fewer images."""
    highest = np.full(count, NOTHING)
    order = np.lexsort((-score, case))
    starts = np.searchsorted(case[order], np.arange(count))
    enough = np.bincount(case, minlength=count) >= n
    highest[enough] = score[order][starts[enough] + n - 1]
    return highest


def right(found: npt.NDArray[np.object_], positive: Bools, referred: Counting, failed: Counting) -> Bools:
    """Return whether each case counts as right, bool G, as :func:`edge_runtime.assurance.outcome.outcome_of` counts.

    Args:
        found: object G of :class:`Found`.
        positive: bool G, what is true.
        referred, failed: how cases without a decision are counted.
    """
    counted = (Found.REFER, referred), (Found.FAILED, failed)
    called = found == Found.POSITIVE
    for kind, counting in counted:
        if counting is Counting.POSITIVE:
            called |= found == kind
    cleared: Bools = np.asarray(found == Found.NEGATIVE, np.bool_)
    return np.where(positive, np.asarray(called, np.bool_), cleared)
