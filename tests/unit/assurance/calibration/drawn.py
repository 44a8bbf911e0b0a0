"""Cases with drawn scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_runtime.assurance.calibration.case_scores import CaseAnswers
from edge_runtime.bundle.policy import DecisionPolicy, Head
from tests.unit.decision.test_verdict import PAIR


def drawn(
    positive: int, negative: int, *, shift: float = 0.0, cutoff: float = 0.5, apart: float = 2.0, seed: int = 1
) -> CaseAnswers:
    """Return cases of one image: calibrated logits of two normal distributions, then shifted."""
    generator = np.random.default_rng(seed)
    truth = np.arange(positive + negative) < positive
    logits = generator.normal(np.where(truth, apart / 2, -apart / 2), 1.0) * apart + shift
    spec = replace(PAIR, head=Head.SIGMOID, policy=DecisionPolicy(cutoff, 0.0))
    none = np.zeros(len(truth), np.bool_)
    return CaseAnswers(spec, truth, none, np.arange(len(truth)), logits[:, np.newaxis], ~none)


def names(answers: CaseAnswers) -> list[str]:
    """Return names of the cases."""
    return [f"case {number}" for number in range(len(answers))]
