"""What labelled images say against a network: found where it is wrong, silent where data are few or hard."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, rankdata
from sklearn.metrics import roc_auc_score

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from export.validation.comparison import auroc_gain_by_chance, does_better, recall_gain_by_chance
from export.validation.label_order import best_order, in_best_order
from export.validation.suspicion import LabelledScores, answered, has_skill, not_shown, suspicion
from training.recipes.phantom_patch import SPEC

TWO = replace(SPEC, labels=("a", "b"), positive=("b",), head=Head.SOFTMAX, policy=DecisionPolicy(0.5, 0.0))
FOUR = replace(TWO, labels=("a", "b", "c", "d"), positive=("c", "d"))


def _drawn(spec: ModelSpec, counts: list[int], skill: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are higher by ``skill`` for the true label, and the labels."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(counts)), counts)
    logits = rng.normal(size=(len(truth), len(spec.labels))).astype(np.float32)
    logits[np.arange(len(truth)), truth] += np.float32(skill)
    return logits, truth


@pytest.mark.parametrize(("spec", "counts"), [(TWO, [20, 20]), (TWO, [90, 10]), (FOUR, [12, 12, 12, 12])])
def test_a_good_network_is_not_suspicious(spec: ModelSpec, counts: list[int]) -> None:
    assert not suspicion(*_drawn(spec, counts, 3.0), spec)


@pytest.mark.parametrize("counts", [[16, 16], [60, 60], [28, 26], [400, 400]])
def test_hard_data_raise_no_alarm(counts: list[int]) -> None:
    """Logits that give an AUROC of 0.61 only, since half of what tells the labels apart is noise."""
    draws = 300
    alarms = sum(bool(suspicion(*_drawn(TWO, counts, 0.4, seed), TWO)) for seed in range(draws))
    assert alarms / draws <= 0.02, f"{alarms} of {draws}"


def test_a_network_that_knows_nothing_is_told_where_images_are_many() -> None:
    told = sum(bool(suspicion(*_drawn(TWO, [400, 400], 0.0, seed), TWO)) for seed in range(200))
    assert told / 200 > 0.9, f"{told} of 200"


def test_reversed_scores_are_below_chance() -> None:
    logits, truth = _drawn(TWO, [20, 20], 3.0)
    assert "found an AUROC of 0.0" in suspicion(logits[:, ::-1].copy(), truth, TWO)
    few = np.array([0, 19, 20, 39])
    assert not suspicion(logits[few, ::-1].copy(), truth[few], TWO), "four images show nothing"


@pytest.mark.parametrize(("others", "told"), [(9, False), (10, True)])
def test_one_answer_for_everything_needs_ten_others(others: int, told: bool) -> None:
    logits, truth = _drawn(TWO, [30, others], 3.0)
    logits[:, 0] += 100
    found = suspicion(logits, truth, TWO)
    assert bool(found) is told
    if told:
        assert f"found the answer NEGATIVE for all 40 labelled parity images, of which {others} are not" in found


def test_a_cutoff_for_screening_is_no_fault() -> None:
    """Half of the healthy are called positive on purpose: few are right, and the ranking is."""
    logits, truth = _drawn(TWO, [190, 10], 2.0)
    screening = replace(TWO, policy=DecisionPolicy(0.05, 0.0))
    assert not suspicion(logits, truth, screening)


def test_less_accuracy_than_the_commonest_label_is_a_fault_where_it_is_shown() -> None:
    logits, truth = _drawn(TWO, [190, 10], 0.9)
    assert "fewer than the 190 of always saying a, expected more" in suspicion(logits, truth, TWO)
    assert not suspicion(*_drawn(TWO, [100, 100], 0.9), TWO)
    few, truth = np.repeat([[2, -2], [-2, 2], [2, -2], [-2, 2]], [20, 5, 3, 4], axis=0), np.repeat([0, 1], [25, 7])
    assert not suspicion(few.astype(np.float32), truth, TWO)
    told = not_shown(few.astype(np.float32), truth, TWO)
    assert "found 24 of 32" in told
    assert "fewer than the 25 of always saying a (25 a, 7 b). They are too few to show a fault" in told


def test_an_auroc_of_twelve_images_shows_nothing() -> None:
    """AUROC 0.45, as by chance; 0.0 of six and six is not by chance: exact probability 1 in 924."""
    truth = np.repeat([0, 1], 6)
    score = np.array([1, 2, 5, 8, 9, 11, 3, 4, 6, 7, 10, 0], np.float32)
    logits = np.stack([-score, score], 1)
    assert not suspicion(logits - logits.mean(0), truth, TWO)
    assert "too few to show a fault: not shown" in not_shown(logits - logits.mean(0), truth, TWO)
    turned = np.stack([np.arange(12) - 5.5, 5.5 - np.arange(12)], 1).astype(np.float32)
    assert "found an AUROC of 0.000 on 12" in suspicion(turned, truth, TWO)


def test_equal_scores_are_no_ranking_and_no_skill() -> None:
    logits, truth = np.zeros((40, 2), np.float32), np.repeat([0, 1], 20)
    assert not has_skill(logits, truth, TWO)
    assert "found the answer POSITIVE for all 40" in suspicion(logits, truth, TWO)
    halves = np.where(truth[:, np.newaxis] == [0, 1], 5.0, -5.0).astype(np.float32)
    assert has_skill(halves, truth, TWO)
    assert "found an AUROC of 0.000" in suspicion(-halves, truth, TWO)


def test_one_label_of_several_for_everything_is_a_fault() -> None:
    """Too few images are positive for the decisions to show it."""
    logits, truth = _drawn(FOUR, [40, 14, 2, 2], 1.0)
    logits[:, 0] += 50
    found = suspicion(logits, truth, FOUR)
    assert "found the label a for all 58 labelled parity images, of which 18 have another" in found
    assert not suspicion(logits[:40], truth[:40], FOUR)


def test_images_of_one_label_show_one_answer_alone() -> None:
    logits, truth = _drawn(TWO, [0, 40], 1.0)
    assert not suspicion(logits, truth, TWO), "misses among images of one label are no fault"
    assert "found one label among the 40" in not_shown(logits, truth, TWO)
    logits[:, 0] += 50
    assert "found the answer NEGATIVE for all 40" in suspicion(logits, truth, TWO)


def test_the_best_of_many_orders_is_not_better_by_chance() -> None:
    eight = replace(TWO, labels=tuple("abcdefgh"), positive=("h",))
    named = 0
    for seed in range(100):
        logits, truth = _drawn(eight, [5] * 8, 0.0, seed)
        named += does_better(in_best_order(logits, truth, eight), answered(logits, truth, eight))
    assert named / 100 <= 0.02, f"{named} of 100"
    logits, truth = _drawn(eight, [5] * 8, 3.0)
    turned = logits[:, ::-1].copy()
    assert does_better(in_best_order(turned, truth, eight), answered(turned, truth, eight), tried=14)


def test_fewer_right_than_the_commonest_label_gives() -> None:
    logits, truth = _drawn(FOUR, [30, 10, 10, 10], 3.0)
    rolled = np.roll(logits, 1, axis=1)
    # a and c are exchanged with b and d: the positive labels stay positive, every label is wrong
    paired = logits[:, [1, 0, 3, 2]]
    assert suspicion(rolled, truth, FOUR)
    found = suspicion(paired, truth, FOUR)
    assert "right, fewer than the 30 of always saying a, and each label less often than by chance" in found


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0], [0, 1, 2, 3]])
def test_the_best_order_undoes_any_permutation(order: list[int]) -> None:
    logits, truth = _drawn(FOUR, [12, 12, 12, 12], 4.0)
    shuffled = logits[:, np.argsort(order)]  # output order[i] answers label i
    found = best_order(shuffled, truth, FOUR)
    assert found.tolist() == order
    straight, mended = answered(logits, truth, FOUR), in_best_order(shuffled, truth, FOUR)
    assert np.array_equal(straight.right, mended.right)
    assert does_better(mended, answered(shuffled, truth, FOUR), tried=8) is (order != [0, 1, 2, 3])


def test_the_mean_recall_counts_each_label_once() -> None:
    logits, truth = _drawn(TWO, [90, 10], 0.0)
    logits[:, 0] += 50
    assert answered(logits, truth, TWO).recall == 0.5


def _of(right: np.ndarray, truth: np.ndarray) -> LabelledScores:
    """Results whose scores are all equal, so that the recall alone counts."""
    return LabelledScores(truth, right, truth == 1, np.zeros(len(truth)))


def test_an_alternative_that_is_better_by_chance_is_not_named() -> None:
    """Two networks of equal skill on the same images, 200 times."""
    named = 0
    for seed in range(200):
        one, truth = _drawn(TWO, [40, 20], 1.5, seed)
        other, _ = _drawn(TWO, [40, 20], 1.5, 1000 + seed)
        named += does_better(answered(other, truth, TWO), answered(one, truth, TWO))
    assert named / 200 <= 0.02, f"{named} of 200"


def test_gains_are_as_rare_as_exact_tests_say() -> None:
    """Of one label: the binomial of McNemar; of scores: all 2^8 exchanges of ranks."""
    truth = np.ones(30, np.int64)
    own, other = np.arange(30) < 15, (np.arange(30) < 14) | (np.arange(30) >= 23)
    exact = binom.sf(6, 8, 0.5)  # seven gained, one lost
    assert recall_gain_by_chance(_of(other, truth), _of(own, truth)) == pytest.approx(exact, abs=0.003)
    truth, right = np.repeat([0, 1], 4), np.ones(8, np.bool_)
    rng = np.random.default_rng(1)
    scores = rng.random(8), truth + rng.random(8)
    pair = [LabelledScores(truth, right, truth == 1, score) for score in scores]
    ranks = np.stack([rankdata(score) for score in scores])
    gains = []
    for swap in itertools.product([0, 1], repeat=8):
        mine, theirs = ranks[swap, range(8)], ranks[np.subtract(1, swap), range(8)]
        gains.append(roc_auc_score(truth, theirs) - roc_auc_score(truth, mine))
    exact = np.mean(np.array(gains) >= pair[1].auroc - pair[0].auroc - 1e-9)
    assert auroc_gain_by_chance(pair[1], pair[0]) == pytest.approx(exact, abs=0.005)


def test_a_rare_label_counts_as_much_as_a_frequent_one() -> None:
    """The network calls all images a; the alternative finds all ten b and loses ten a. McNemar's test sees no gain."""
    truth = np.repeat([0, 1], [190, 10])
    own, other = truth == 0, np.arange(200) >= 10
    assert does_better(_of(other, truth), _of(own, truth))
    assert not does_better(_of(own, truth), _of(other, truth))


def test_an_alternative_that_is_surely_but_little_better_is_not_named() -> None:
    truth = np.repeat([0, 1], 500)
    own, other = np.arange(1000) % 500 < 480, np.arange(1000) % 500 < 495
    assert not does_better(_of(other, truth), _of(own, truth))
    assert recall_gain_by_chance(_of(other, truth), _of(own, truth)) < 0.001
    own = np.arange(1000) % 500 < 430
    assert does_better(_of(other, truth), _of(own, truth), tried=14)
