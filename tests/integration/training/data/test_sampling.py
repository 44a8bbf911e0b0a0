"""An epoch has about as many images of a patient as the square root says, and is the same in every run."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.batches import Batches
from training.data.sampling import PatientSampling
from training.data.tensors import label_weights
from training.recipes import find_recipe
from training.recipes.recipe import TrainingPlan

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=12)


def _groups(sizes: list[int], seed: int = 0) -> np.ndarray:
    names = np.array([f"p{number}" for number, size in enumerate(sizes) for _ in range(size)])
    return np.random.default_rng(seed).permutation(names)


@settings(deadline=None, max_examples=60)
@given(sizes=SIZES, power=st.floats(0, 1), images=st.none() | st.integers(1, 200), seed=st.integers(0, 99))
def test_each_patients_count_is_the_expected_one_rounded(
    sizes: list[int], power: float, images: int | None, seed: int
) -> None:
    groups = _groups(sizes)
    sampling = PatientSampling(power, images)
    rows = sampling.draw(groups, np.random.default_rng(seed))
    assert len(rows) == (images or sum(sizes))
    share = np.array(sizes, dtype=float) ** power
    due = share / share.sum() * len(rows)
    drawn = Counter(groups[rows].tolist())
    for number, size in enumerate(sizes):
        count = drawn[f"p{number}"]
        assert abs(count - due[number]) < 1 + 1e-9
        repeats = Counter(rows[groups[rows] == f"p{number}"].tolist())
        assert not count or max(repeats.values()) == -(-count // size), "an image repeats before all were drawn"
    np.testing.assert_allclose(sampling.expected(groups).sum(), len(rows))


def test_over_many_epochs_each_image_is_drawn_as_often_as_expected() -> None:
    groups = _groups([3, 40, 7])
    sampling = PatientSampling(images=20)
    counts = np.zeros(50)
    for seed in range(2000):
        np.add.at(counts, sampling.draw(groups, np.random.default_rng(seed)), 1)
    np.testing.assert_allclose(counts / 2000, sampling.expected(groups), rtol=0.15)


def _batches(epoch: int = 0) -> Batches:
    groups = _groups([2, 30, 9])
    sampling = PatientSampling(images=16)
    images = np.arange(41, dtype=np.float32).reshape(41, 1, 1, 1)
    return Batches(
        images,
        images.reshape(41, 1),
        batch=5,
        seed=4,
        augmentation=None,
        draw=lambda rng: sampling.draw(groups, rng),
        epoch=epoch,
    )


def test_an_epoch_depends_on_its_number_alone_and_has_its_own_draw() -> None:
    batches = _batches()
    assert len(batches) == 4
    seen = []
    for epoch in range(3):
        found = [batches[index][0].ravel().tolist() for index in range(len(batches))]
        again = _batches(epoch)
        assert found == [again[index][0].ravel().tolist() for index in range(len(again))]
        seen.append(sorted(value for batch in found for value in batch))
        batches.on_epoch_end()
    assert seen[0] != seen[1] != seen[2], "every epoch draws other images"


def test_labels_have_the_same_weight_in_an_epoch_that_is_drawn() -> None:
    labels, groups = np.array([0] * 30 + [1] * 10 + [0, 1]), np.array(["a"] * 40 + ["b"] * 2)
    drawn = PatientSampling().expected(groups)
    weights = label_weights(labels, drawn)
    totals = [float((weights * drawn)[labels == label].sum()) for label in (0, 1)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)
    assert sum(totals) == pytest.approx(42, rel=1e-5)


def test_one_way_to_choose_images() -> None:
    plan = find_recipe("phantom-patch").plan
    with pytest.raises(ValueError, match="found sampling and patient_cap or balance, expected one way"):
        TrainingPlan(plan.epochs, plan.batch, plan.optimiser, plan.loss, 1, patient_cap=3, sampling=PatientSampling())
    for wrong in ((-0.1, None), (1.1, None), (0.5, 0)):
        with pytest.raises(ValueError, match=r"expected a power of 0\.\.1 and 1 image or more"):
            PatientSampling(*wrong)
