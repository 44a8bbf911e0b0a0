"""The hash of an array is that of the classified values, and few arrays wait for it in memory."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from edge_runtime.images import array_hash
from edge_runtime.images.array_hash import ArrayHash, unchanging

HEADER = b"uint8 3x4x3\n"
Array = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First values of the arrays whose hash was computed, in order."""
    found: list[int] = []
    compute = array_hash._sha256

    def noted(pixels: array_hash.Pixels) -> str:
        found.append(int(pixels.flat[0]))
        return compute(pixels)

    monkeypatch.setattr(array_hash, "_sha256", noted)
    return found


def pixels(value: int = 7) -> Array:
    return np.full((3, 4, 3), value, np.uint8)


def test_the_hash_is_of_the_values_before_the_array_changed() -> None:
    array = pixels()
    found = ArrayHash(unchanging(array)).kept()
    array[:] = 8
    assert str(found) == hashlib.sha256(HEADER + bytes([7] * 36)).hexdigest()


def read_only(array: Array) -> Array:
    array.setflags(write=False)
    return array


CONSTANT = {
    "read-only": lambda: read_only(pixels()),
    "a part of a read-only one": lambda: read_only(pixels())[1:],
    "bytes": lambda: np.frombuffer(bytes(36), np.uint8).reshape(3, 4, 3),
}
CHANGING = {
    "writeable": pixels,
    "a read-only view": lambda: read_only(pixels()[:]),
    "a read-only view of bytes that change": lambda: read_only(np.frombuffer(bytearray(36), np.uint8).reshape(3, 4, 3)),
    "a read-only view of memory": lambda: np.asarray(memoryview(bytearray(36)).toreadonly()).reshape(3, 4, 3),
}


@pytest.mark.parametrize("case", CONSTANT)
def test_an_array_that_cannot_change_is_not_copied(case: str) -> None:
    array = CONSTANT[case]()
    assert unchanging(array) is array


@pytest.mark.parametrize("case", CHANGING)
def test_an_array_that_may_change_is_copied(case: str) -> None:
    array = CHANGING[case]()
    found = unchanging(array)
    assert not np.shares_memory(found, array)
    np.testing.assert_array_equal(found, array)


def test_an_array_too_large_to_copy_is_hashed_at_once(hashed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_hash, "MOST_BYTES", 35)
    array = pixels()
    assert unchanging(array) is array
    found = ArrayHash(array).kept()
    array[:] = 8
    assert hashed == [7]
    assert str(found) == hashlib.sha256(HEADER + bytes([7] * 36)).hexdigest()


def test_a_hash_that_nobody_reads_is_never_computed(hashed: list[int]) -> None:
    last = None
    for value in range(9):
        last = ArrayHash(pixels(value)).kept()  # the one before is still held here, as in a loop over frames
    assert hashed == []
    assert last is not None


def test_of_hashes_in_use_the_oldest_is_computed_so_that_two_copies_wait(hashed: list[int]) -> None:
    held = [ArrayHash(pixels(value)).kept() for value in range(5)]
    assert hashed == [0, 1, 2]
    assert len({str(each) for each in held}) == 5
    assert hashed == [0, 1, 2, 3, 4]


def test_keeping_it_twice_takes_one_place_and_reading_it_twice_computes_once(hashed: list[int]) -> None:
    first = ArrayHash(pixels(1)).kept()
    assert first.kept() is first
    second = ArrayHash(pixels(2)).kept()
    assert hashed == []
    assert len({str(second), str(second)}) == 1
    assert hashed == [2]


def test_it_is_pickled_as_the_string() -> None:
    found = ArrayHash(pixels()).kept()
    assert pickle.loads(pickle.dumps(found)) == str(found)
