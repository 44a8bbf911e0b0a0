"""Tensors in a file give the values of the array that was stored, with few of them in memory."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from export.errors import ExportError
from export.source.stored_tensors import StoredTensors, Streamed, batches, head, store

Floats = npt.NDArray[np.float32]

SHAPE = (4, 5, 3)


@pytest.fixture
def array() -> Floats:
    return np.random.default_rng(3).random((11, *SHAPE), dtype=np.float32)


def test_rows_slices_and_batches_are_those_of_the_array(array: Floats, tmp_path: Path) -> None:
    found = store(iter(array), SHAPE, tmp_path / "t.npy")
    assert (len(found), found.shape, found.nbytes) == (11, array.shape, array.nbytes)
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), array)
    for rows in (slice(2, 7), slice(None, None, 3), slice(9, 99), slice(5, 5)):
        np.testing.assert_array_equal(found[rows], array[rows])
    np.testing.assert_array_equal(found[-1], array[-1])
    np.testing.assert_array_equal(np.stack(list(found)), array)
    np.testing.assert_array_equal(np.stack(list(found.rows(3, 6))), array[3:6])
    np.testing.assert_array_equal(np.stack(list(head(found, 4))), array[:4])
    for tensors in (found, array):
        assert [len(batch) for batch in batches(tensors, 4)] == [4, 4, 3]
        np.testing.assert_array_equal(np.concatenate(list(batches(tensors, 4))), array)


def test_a_file_of_numpy_is_read_too(array: Floats, tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", array)
    np.testing.assert_array_equal(StoredTensors(tmp_path / "t.npy"), array)
    np.save(tmp_path / "wide.npy", array.astype(np.float64))
    with pytest.raises(ValueError, match="found float64"):
        StoredTensors(tmp_path / "wide.npy")


def test_storing_and_reading_hold_few_images_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    found = store((np.full((64, 64, 3), i, np.float32) for i in range(200)), (64, 64, 3), tmp_path / "t.npy")
    total = sum(float(tensor[0, 0, 0]) for tensor in found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == sum(range(200))
    assert peak < 0.05 * found.nbytes


def test_the_time_between_images_is_counted_apart(array: Floats, tmp_path: Path) -> None:
    found, before = store(iter(array), SHAPE, tmp_path / "t.npy"), (Streamed.images, Streamed.seconds)
    for _ in found:
        pass
    assert Streamed.images == before[0] + 11
    assert Streamed.seconds >= before[1]


def test_a_temporary_file_is_removed_with_its_tensors(array: Floats) -> None:
    found = store(iter(array), SHAPE)
    path = found.path
    assert path.is_file()
    del found
    gc.collect()
    assert not path.exists()


def test_a_full_disk_is_told_as_such(array: Floats, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(ExportError, match=r"No space left on device after \d+ preprocessed images of 240 bytes"):
        store(iter(np.repeat(array, 100, axis=0)), SHAPE, Path("/dev/full"))
