"""The hash is of what was classified, and few files and arrays wait for it in memory."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from edge_runtime.images import content_hash
from edge_runtime.images.content_hash import ContentHash, unchanging

HEADER = b"uint8 3x4x3\n"
Array = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First values of the files and arrays whose hash was computed, in order."""
    found: list[int] = []
    compute = content_hash._sha256

    def noted(content: bytes | content_hash.Pixels) -> str:
        found.append(content[0] if isinstance(content, bytes) else int(content.flat[0]))
        return compute(content)

    monkeypatch.setattr(content_hash, "_sha256", noted)
    return found


def pixels(value: int = 7) -> Array:
    return np.full((3, 4, 3), value, np.uint8)


def test_the_hash_is_of_the_values_before_the_array_changed() -> None:
    array = pixels()
    found = ContentHash(unchanging(array)).kept()
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
    monkeypatch.setattr(content_hash, "MOST_BYTES", 35)
    array = pixels()
    assert unchanging(array) is array
    found = ContentHash(array).kept()
    array[:] = 8
    assert hashed == [7]
    assert str(found) == hashlib.sha256(HEADER + bytes([7] * 36)).hexdigest()


def test_a_large_array_that_cannot_change_is_neither_copied_nor_hashed_at_once(
    hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_hash, "MOST_BYTES", 35)
    array = read_only(pixels())
    assert unchanging(array) is array
    found = ContentHash(array).kept()
    assert hashed == []
    assert str(found) == hashlib.sha256(HEADER + bytes([7] * 36)).hexdigest()


def test_a_file_is_hashed_when_its_hash_is_read_unless_it_is_too_large_to_keep(
    hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ContentHash(b"12").kept()
    monkeypatch.setattr(content_hash, "MOST_BYTES", 2)
    large = ContentHash(b"345")
    assert hashed == [ord("3")]
    assert str(small) == hashlib.sha256(b"12").hexdigest()
    assert str(large) == hashlib.sha256(b"345").hexdigest()
    assert hashed == [ord("3"), ord("1")]


def test_a_hash_that_nobody_reads_is_never_computed(hashed: list[int]) -> None:
    last = None
    for value in range(9):  # the one before is still held here, as in a loop over frames
        last = ContentHash(bytes([value]) if value % 2 else pixels(value)).kept()
    assert hashed == []
    assert last is not None


def test_of_hashes_in_use_the_oldest_is_computed_so_that_two_copies_wait(hashed: list[int]) -> None:
    held = [ContentHash(pixels(value)).kept() for value in range(5)]
    assert hashed == [0, 1, 2]
    assert len({str(each) for each in held}) == 5
    assert hashed == [0, 1, 2, 3, 4]


def test_keeping_it_twice_takes_one_place_and_reading_it_twice_computes_once(hashed: list[int]) -> None:
    first = ContentHash(pixels(1)).kept()
    assert first.kept() is first
    second = ContentHash(pixels(2)).kept()
    assert hashed == []
    assert len({str(second), str(second)}) == 1
    assert hashed == [2]


def test_it_is_pickled_as_the_string() -> None:
    found = ContentHash(pixels()).kept()
    assert pickle.loads(pickle.dumps(found)) == str(found)
