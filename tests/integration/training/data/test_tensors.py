"""Tensors come from the device's own reading and steps; refused images are named; rows are drawn as promised."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training.data.tensors
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import read
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from training.data.assignment import split_by_group
from training.data.augmentation import Augmentation
from training.data.batches import Batches
from training.data.datasets import Sample, idc
from training.data.splits import SplitPlan
from training.data.tensors import balanced_index, colour_numbers, load_tensors, targets
from training.errors import DatasetError
from training.recipes.idc_patch import SPEC

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=80).map(np.array)


def _spec(head: Head, labels: tuple[str, ...]) -> ModelSpec:
    steps = (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.NEAREST, PixelType.UINT8))
    return ModelSpec("a", "1.0.0", "a", steps, labels, labels[1:], head, DecisionPolicy(0.5, 0.5))


def _image(path: Path, width: int, height: int, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


@settings(derandomize=True, max_examples=80, deadline=None)
@given(LABELS, st.integers(0, 2**31))
def test_balanced_rows_are_sorted_distinct_and_hold_each_label_as_often_as_the_rarest(
    labels: np.ndarray, seed: int
) -> None:
    rows = balanced_index(labels, seed)
    assert (np.diff(rows) > 0).all()
    rarest = min(Counter(labels.tolist()).values())
    assert Counter(labels[rows].tolist()) == dict.fromkeys(set(labels.tolist()), rarest)
    np.testing.assert_array_equal(rows, balanced_index(labels, seed))


def test_which_rows_are_dropped_depends_on_the_seed() -> None:
    labels = np.repeat([0, 1], [50, 10])
    assert balanced_index(labels, 1).tolist() != balanced_index(labels, 2).tolist()


@pytest.mark.parametrize(
    ("head", "labels", "expected"),
    [
        (Head.INDEPENDENT_SIGMOIDS, ("no", "yes"), [[0, 1], [1, 0], [0, 1]]),
        (Head.SOFTMAX, ("a", "b", "c"), [[0, 1, 0], [1, 0, 0], [0, 1, 0]]),
        (Head.SIGMOID, ("no", "yes"), [[1], [0], [1]]),
    ],
)
def test_targets_have_the_shape_of_the_heads_outputs(
    head: Head, labels: tuple[str, ...], expected: list[list[int]]
) -> None:
    spec = _spec(head, labels)
    found = targets(np.array([1, 0, 1]), spec)
    assert found.dtype == np.float32
    assert found.shape[1] == spec.outputs
    np.testing.assert_array_equal(found, expected)


def test_colour_numbers_are_numpys_mean_and_deviation_of_red_green_blue() -> None:
    bgr = np.random.default_rng(1).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    red, green, blue = (bgr[..., i].astype(float) for i in (2, 1, 0))
    oracle = [red.mean(), green.mean(), blue.mean(), red.std(), green.std(), blue.std()]
    np.testing.assert_allclose(colour_numbers(bgr), oracle, rtol=1e-12)


def test_a_grey_image_counts_as_three_equal_channels() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (17, 23), dtype=np.uint8)
    np.testing.assert_allclose(colour_numbers(grey), [grey.mean()] * 3 + [grey.std()] * 3, rtol=1e-12)


def test_every_tensor_is_the_devices_reading_and_steps_of_its_own_file(phantom_data: Path) -> None:
    samples = idc.load(phantom_data).samples[::9]
    found = load_tensors(samples, SPEC, label="some")
    assert found.images.dtype == np.float32
    assert found.images.shape == (len(samples), 50, 50, 3)
    for i, sample in enumerate(samples):
        image = read(sample.path, min_side_px=SPEC.min_side_px)
        np.testing.assert_array_equal(found.images[i], preprocess(image, SPEC.steps), err_msg=sample.name)
        np.testing.assert_array_equal(found.colour[i], colour_numbers(image.pixels), err_msg=sample.name)
    assert found.samples == samples
    assert found.labels.tolist() == [s.label for s in samples]
    assert found.groups.tolist() == [s.group for s in samples]
    assert found.refused == ()


def test_no_other_function_touches_a_pixel(phantom_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the device's function returns is what the network is fitted on, to the bit."""
    constant = np.full((50, 50, 3), 0.125, np.float32)
    monkeypatch.setattr(training.data.tensors, "preprocess", lambda image, steps: constant)
    found = load_tensors(idc.load(phantom_data).samples[:4], SPEC, label="some")
    assert (found.images == 0.125).all()


def test_refused_images_are_named_with_their_code_and_have_no_row(tmp_path: Path) -> None:
    names = ["1/0/whole.png", "1/0/strip.png", "1/0/damaged.png", "2/1/absent.png", "2/1/edge.png"]
    _image(tmp_path / names[0], 50, 50)
    _image(tmp_path / names[1], 50, 1)  # the published set holds such strips, from the rim of a slide
    _image(tmp_path / names[4], 50, 33)
    whole = (tmp_path / names[0]).read_bytes()
    (tmp_path / names[2]).write_bytes(whole[: len(whole) // 2])
    samples = [Sample(name, tmp_path / name, int(name[2]), name[0]) for name in names]
    found = load_tensors(samples, SPEC, label="train")
    assert [s.name for s in found.samples] == [names[0], names[4]]
    assert (found.labels.tolist(), found.groups.tolist()) == ([0, 1], ["1", "2"])
    assert len(found.images) == len(found.colour) == 2
    assert found.refused == (
        f"{names[1]}: image_too_small",
        f"{names[2]}: image_truncated",
        f"{names[3]}: image_not_found",
    )


def test_nothing_but_refused_images_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    samples = [Sample(f"{i}.png", _image(tmp_path / f"{i}.png", 50, 1), 0, "1") for i in range(3)]
    with pytest.raises(DatasetError, match=r"train: none of 3 images can be read; the first: .*0\.png: image_too_sm"):
        load_tensors(samples, SPEC, label="train")


def _some_unreadable(folder: Path, broken: int) -> list[Sample]:
    whole = [Sample("whole.png", _image(folder / "whole.png", 50, 50), 0, "1")]
    return whole + [Sample(f"{i}.png", _image(folder / f"{i}.png", 50, 1), 0, "1") for i in range(broken)]


def test_skipped_images_are_counted_and_named_in_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_tensors(_some_unreadable(tmp_path, 22), SPEC, label="train")
    (warning,) = caplog.records
    assert (warning.levelname, warning.name) == ("WARNING", "training.data.tensors")
    assert warning.message.startswith("train: 22 of 23 images cannot be read and are skipped: 0.png: image_too_small")
    assert warning.message.endswith("19.png: image_too_small and 2 more")


def test_images_that_can_all_be_read_warn_of_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_tensors(_some_unreadable(tmp_path, 0), SPEC, label="train", strict=True)
    assert caplog.records == []


def test_strict_names_the_first_five_that_cannot_be_read_and_the_count(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"train: 7 of 8 images cannot be read, expected none: 0\.png: ") as found:
        load_tensors(_some_unreadable(tmp_path, 7), SPEC, label="train", strict=True)
    assert "4.png: image_too_small and 2 more" in str(found.value)
    assert "5.png" not in str(found.value)


def test_two_splits_of_one_seed_are_equal_and_of_another_are_not(phantom_data: Path) -> None:
    samples = idc.load(phantom_data).samples
    one, again, other = (split_by_group(samples, SplitPlan(0.2, 0.2, seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def _first_batches(images: np.ndarray, seed: int, epoch: int) -> list[np.ndarray]:
    """Images and targets of the first two batches of an epoch that is begun with."""
    both = Augmentation(flips=True, quarter_turns=True)
    batches = Batches(images, images[:, 0, 0, :1], batch=8, seed=seed, augmentation=both, epoch=epoch)
    return [array for i in range(2) for array in batches[i]]


def test_two_batches_of_one_seed_are_equal_in_every_value_and_of_another_are_not() -> None:
    images = np.random.default_rng(0).random((40, 6, 6, 3), dtype=np.float32)
    for epoch in (0, 1):
        one, again, other = (_first_batches(images, seed, epoch) for seed in (1, 1, 2))
        for found, expected, different in zip(one, again, other, strict=True):
            np.testing.assert_array_equal(found, expected)
            assert not np.array_equal(found, different)
    assert not np.array_equal(_first_batches(images, 1, 0)[0], _first_batches(images, 1, 1)[0])


def test_batches_that_begin_at_an_epoch_are_those_that_a_run_through_comes_to() -> None:
    images = np.random.default_rng(0).random((40, 6, 6, 3), dtype=np.float32)
    both = Augmentation(flips=True, quarter_turns=True)
    run = Batches(images, images[:, 0, 0, :1], batch=8, seed=3, augmentation=both)
    for _ in range(4):
        run.on_epoch_end()
    reached = [array for i in range(2) for array in run[i]]
    for found, expected in zip(_first_batches(images, 3, 4), reached, strict=True):
        np.testing.assert_array_equal(found, expected)
