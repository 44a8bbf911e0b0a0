"""A preprocessor splits its steps into 8-bit levels and their values; both give the same bits as the plain steps."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import ManifestError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import read
from edge_runtime.preprocessing.preprocessor import Preprocessor, apply, look_up, preprocess
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    Colour,
    Interpolation,
    MinMax,
    Normalize,
    PixelType,
    Resize,
    Scale,
    Sharpen,
    Step,
    check_order,
)
from edge_runtime.serialisation.records import canonical_json, from_dict
from tests.unit.preprocessing.differences import worst

SCALE = Scale(divisor=255.0, offset=-0.5)
SMALL = Resize(8, 8, Interpolation.LINEAR_EXACT, PixelType.UINT8)
GREY = Colour(ColourOrder.GREY)


@pytest.mark.parametrize(
    "steps",
    [(GREY, SMALL, SCALE), (Colour(ColourOrder.BGR), SMALL), (GREY, SMALL, SCALE, Scale(0.3, 0.1))],
    ids=["scale", "none", "two"],
)
def test_levels_and_their_values_are_the_steps_one_after_the_other(steps: tuple[Step, ...]) -> None:
    image = read(np.random.default_rng(84).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    preprocessor = Preprocessor(steps)
    levels = preprocessor.levels(image)
    assert levels.dtype == np.uint8
    assert preprocessor.values is not None
    expected = levels
    for step in steps[2:]:
        expected = apply(step, expected, "picture")
    assert np.array_equal(preprocessor.values[levels], np.asarray(expected, np.float32))
    assert np.array_equal(preprocess(image, steps), np.asarray(expected, np.float32))


def test_all_256_values_are_what_whole_images_get() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    same = Resize(16, 16, Interpolation.LINEAR_EXACT, PixelType.UINT8)
    values = Preprocessor((GREY, same, SCALE)).values
    assert values is not None
    assert values.tobytes() == apply(SCALE, every, "picture").astype(np.float32).tobytes()


@pytest.mark.parametrize("step", [MinMax(0.0, 1.0), Resize(8, 8, Interpolation.LINEAR, PixelType.FLOAT32)])
def test_where_values_depend_on_neighbours_there_is_no_table(step: Step) -> None:
    image = read(np.random.default_rng(85).integers(0, 256, (20, 30), dtype=np.uint8))
    preprocessor = Preprocessor((GREY, SMALL, step, SCALE))
    assert preprocessor.values is None
    assert np.array_equal(preprocessor.levels(image), preprocess(image, (GREY, SMALL, step, SCALE)))


CAFFE = Normalize((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
TORCH = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BY_CHANNEL = {
    "caffe": (Colour(ColourOrder.BGR), SMALL, CAFFE),
    "torch": (Colour(ColourOrder.RGB), SMALL, Scale(255.0, 0.0), TORCH),
    "scale after": (Colour(ColourOrder.RGB), SMALL, TORCH, Scale(3.0, 0.5), CAFFE),
    "grey": (GREY, SMALL, Normalize((120.5,), (61.3,))),
    "float resize": (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.LINEAR, PixelType.FLOAT32), CAFFE),
    "float sharpen": (
        *(Colour(ColourOrder.RGB), SMALL, TORCH),
        Sharpen(LAPLACIAN_SHARPEN_3X3, PixelType.FLOAT32, Border.ZERO),
    ),
}


def by_hand(step: Step, tensor: np.ndarray) -> np.ndarray:
    """Scale and normalise number by number in float32; any other step as it is tested above."""
    if not isinstance(step, Scale | Normalize):
        return np.asarray(apply(step, tensor, "picture"), np.float32)
    found = np.empty(tensor.shape, np.float32)
    for place in np.ndindex(tensor.shape):
        x = np.float32(tensor[place])
        channel = place[2] if tensor.ndim == 3 else 0
        if isinstance(step, Scale):
            x = np.float32(x / np.float32(step.divisor)) + np.float32(step.offset)
        else:
            x = np.float32(x - np.float32(step.mean[channel])) / np.float32(step.std[channel])
        found[place] = x
    return found


@pytest.mark.parametrize("name", BY_CHANNEL)
@pytest.mark.parametrize("channels", [1, 3])
def test_values_by_channel_are_the_same_bits_on_every_path(name: str, channels: int) -> None:
    steps = BY_CHANNEL[name]
    shape = (20, 30, 3)[: 2 + (channels == 3)]
    image = read(np.random.default_rng(86).integers(0, 256, shape, dtype=np.uint8))
    preprocessor = Preprocessor(steps)
    first = Preprocessor(steps[:2])
    expected = first.levels(image) if first.values is not None else first.tensor(image)
    for step in steps[2:]:
        expected = by_hand(step, expected)
    found = preprocess(image, steps)
    assert found.tobytes() == expected.tobytes(), worst(found, expected)
    assert (preprocessor.values is None) is name.startswith("float")
    if preprocessor.values is not None:
        looked_up = look_up(np.stack([preprocessor.levels(image)] * 2), preprocessor.values)
        assert looked_up.tobytes() == expected.tobytes() * 2
        plain = apply(steps[-1], apply(steps[2], preprocessor.levels(image), ""), "") if len(steps) == 4 else expected
        assert looked_up[0].tobytes() == np.asarray(plain).tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
def test_a_table_of_each_channel_is_looked_up_in_its_own_column(dtype: type) -> None:
    rng = np.random.default_rng(87)
    levels = rng.integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    table = rng.integers(0, 100, (256, 3)).astype(dtype)
    found = look_up(levels, table)
    assert found.dtype == dtype
    for channel in range(3):
        assert np.array_equal(found[..., channel], table[levels[..., channel], channel])


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ((GREY, SMALL, CAFFE), "normalize has 3 means, found 1 channels"),
        ((Colour(ColourOrder.RGB), SMALL, Normalize((1.0,), (1.0,))), "normalize has 1 means, found 3 channels"),
        ((SMALL, CAFFE, Colour(ColourOrder.RGB)), "found no colour step before it"),
        ((Colour(ColourOrder.RGB), CAFFE, SMALL), "resize on uint8 comes after a float32 step"),
    ],
)
def test_a_mean_for_each_channel_of_the_colour_step(steps: tuple[Step, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_order(steps)


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ((1.0, 2.0), (1.0, 2.0), "found 2 means and 2 deviations"),
        ((1.0, 2.0, 3.0), (1.0,), "found 3 means and 1 deviations"),
        ((), (), "found 0 means"),
        ((1.0,), (0.0,), "expected numbers above 0"),
        ((1.0,), (-2.0,), "expected numbers above 0"),
        ((1.0,), (1e-50,), "expected numbers above 0"),
        ((1e39,), (1.0,), "expected numbers within 1e"),
    ],
)
def test_means_and_deviations_that_cannot_be_meant(mean: tuple[float, ...], std: tuple[float, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Normalize(mean, std)


@pytest.mark.parametrize("key", ["divisor", "offset"])
def test_a_scale_with_a_list_names_the_step_for_it(key: str) -> None:
    value = {"kind": "scale", "divisor": 1.0, "offset": 0.0} | {key: [1.0, 2.0, 3.0]}
    with pytest.raises(ManifestError, match=rf'spec\.{key}: found \[1.0, 2.0, 3.0\].*"kind": "normalize"'):
        from_dict(Scale, value, "spec")


def test_a_scale_reads_and_writes_as_before() -> None:
    text = '[{"divisor":255.0,"kind":"scale","offset":-0.5},{"kind":"normalize","mean":[1.0],"std":[2.0]}]'
    assert canonical_json((SCALE, Normalize((1.0,), (2.0,)))) == text
