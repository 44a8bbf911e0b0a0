"""Figures by site: those of sklearn, at each fold's cut-off; undefined ones are left out, and the shift is paired."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import training.metrics.evaluation
from edge_runtime.bundle.metrics import Figure, SiteFigures, Subgroup
from training.cli.tables import site_table
from training.data.datasets import Sample
from training.metrics.classwise import ClassOutcomes
from training.metrics.sites import (
    SHIFT,
    NeverSeen,
    in_site_figures,
    never_seen_figures,
    of_subgroups,
    with_shift,
)
from training.recipes.phantom_patch import SPEC


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.metrics.evaluation, "RESAMPLES", 50)


def _fold(value: str, count: int, seed: int, *, cutoff: float | None = 0.5, only: int | None = None) -> NeverSeen:
    """``count`` images of ``count // 2`` patients whose logits tell a little of their labels."""
    rng = np.random.default_rng(seed)
    labels = np.array([i // 2 % 2 if only is None else only for i in range(count)], dtype=np.int64)
    logits = np.column_stack([rng.normal(size=count), rng.normal(size=count) + labels])
    groups = np.array([f"{value} {i // 2}" for i in range(count)])
    policy = replace(SPEC.policy, cutoff=0.5 if cutoff is None else cutoff)
    outcome = ClassOutcomes.of(logits, labels, groups, replace(SPEC, policy=policy))
    return NeverSeen("site", value, outcome, tuple(f"{value}/{i}.png" for i in range(count)), cutoff)


def _value(found: SiteFigures, name: str) -> float:
    return next(figure.value for figure in found.figures if figure.name == name)


def test_each_value_has_its_own_cutoff_and_all_together_have_theirs() -> None:
    folds = [_fold("Brazil", 40, 1, cutoff=0.3), _fold("Poland", 24, 2, cutoff=0.6)]
    pooled, *each = never_seen_figures(folds)
    assert [(f.value, f.never_seen, f.images, f.groups, f.cutoff) for f in (pooled, *each)] == [
        ("all", True, 64, 32, None),
        ("Brazil", True, 40, 20, 0.3),
        ("Poland", True, 24, 12, 0.6),
    ]
    hits = 0.0
    for found, fold, cutoff in zip(each, folds, (0.3, 0.6), strict=True):
        truth, score = fold.outcome.truth, fold.outcome.positive
        assert _value(found, "auroc") == pytest.approx(roc_auc_score(truth, score), abs=1e-4)
        assert _value(found, "sensitivity") == pytest.approx(np.mean(score[truth] >= cutoff), abs=1e-4)
        assert _value(found, "specificity") == pytest.approx(np.mean(score[~truth] < cutoff), abs=1e-4)
        assert all(figure.low is not None for figure in found.figures)
        hits += float((score[truth] >= cutoff).sum())
    truth, score = (np.concatenate([getattr(fold.outcome, n) for fold in folds]) for n in ("truth", "positive"))
    assert _value(pooled, "auroc") == pytest.approx(roc_auc_score(truth, score), abs=1e-4)
    assert _value(pooled, "sensitivity") == pytest.approx(hits / truth.sum(), abs=1e-4)


def test_figures_that_are_not_defined_are_left_out_and_the_table_says_why() -> None:
    pooled, one_label, no_cutoff, few = never_seen_figures(
        [_fold("Brazil", 40, 1, only=0), _fold("Egypt", 40, 2, cutoff=None), _fold("Poland", 6, 3)]
    )
    assert [figure.name for figure in one_label.figures] == ["specificity"]
    assert [figure.name for figure in no_cutoff.figures] == [figure.name for figure in pooled.figures] == ["auroc"]
    assert all(figure.low is None for figure in few.figures)
    lines = site_table((pooled, one_label, no_cutoff, few)).splitlines()
    assert lines[0] == "by site, never seen (fitted without it)"
    assert "site: Brazil (40 images of 20, 0 positive)" in lines[2]
    assert lines[2].endswith("other figures are not defined: all images are negative")
    assert lines[3].endswith("no sensitivity or specificity: the validation patients allow no cut-off")
    assert "not defined" not in lines[4]


def test_the_shift_is_never_seen_less_in_site_on_the_held_out_images() -> None:
    fold = _fold("Brazil", 40, 1)
    (_, figures) = never_seen_figures([fold])
    held_out = list(range(0, 24))
    samples = [Sample(fold.names[i], Path(fold.names[i]), 0, str(fold.outcome.groups[i])) for i in held_out]
    in_site = ClassOutcomes.of(
        fold.outcome.logits[held_out] * 1.0 + np.eye(2)[fold.outcome.labels[held_out]] * 9,
        fold.outcome.labels[held_out],
        fold.outcome.groups[held_out],
        SPEC,
    )
    found = with_shift(figures, fold, in_site, samples).shift
    assert found is not None
    assert found.name == SHIFT
    assert found.value == pytest.approx(_value(figures, "auroc") - 1.0, abs=1e-4)
    assert found.low is not None and found.high is not None and found.low <= found.value <= found.high
    assert with_shift(figures, fold, in_site, samples[:0]).shift is None
    few = with_shift(figures, fold, in_site, samples[:8]).shift
    assert few is not None and few.low is None


def test_in_site_figures_are_of_the_images_that_have_the_trait() -> None:
    fold = _fold("x", 40, 4)
    samples = [Sample(name, Path(name), 0, "g") for name in fold.names]
    traits = {name: (("site", "AB"[i % 4 // 2]), ("size", "small")) for i, name in enumerate(fold.names)}
    first, second = in_site_figures(fold.outcome, samples, traits)
    assert [(f.trait, f.value, f.never_seen, f.images, f.cutoff) for f in (first, second)] == [
        ("site", "A", False, 20, 0.5),
        ("site", "B", False, 20, 0.5),
    ]
    assert in_site_figures(fold.outcome, samples, {}) == ()


def test_subgroups_by_site_and_scanner_become_figures_in_site() -> None:
    figures = (Figure("auroc", 0.8), Figure("answered", 0.9), Figure("specificity", 0.7))
    groups = [Subgroup(trait, "x", 4, 2, 1, figures) for trait in ("scanner", "label", "site")]
    found = of_subgroups(groups, 0.4)
    assert [(f.trait, f.cutoff, [x.name for x in f.figures]) for f in found] == [
        ("site", 0.4, ["auroc", "specificity"]),
        ("scanner", 0.4, ["auroc", "specificity"]),
    ]
