"""Arrays in a bundle's file are as large as the file says, and no larger than those of any bundle."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from edge_runtime.errors import BundleError, ManifestError
from edge_runtime.explain import class_activation
from edge_runtime.golden import vectors
from edge_runtime.serialisation import npz
from edge_runtime.serialisation.npz import MOST_UNPACKED, read_arrays


def claiming(shape: tuple[int, ...]) -> bytes:
    """Return an npz whose array has a shape in its header and four bytes of content."""
    stream, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("weights_0.npy", header.getvalue() + bytes(4))
    return stream.getvalue()


def unpacking_to(size: int) -> bytes:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("weights_0.npy", "w", force_zip64=True) as entry,
    ):
        for _ in range(size >> 20):
            entry.write(bytes(1 << 20))
    return stream.getvalue()


@pytest.mark.parametrize("data", [unpacking_to(MOST_UNPACKED + (1 << 20)), claiming((1 << 50,)), claiming((2,))])
def test_a_file_that_would_fill_the_memory_is_refused_by_whoever_reads_it(data: bytes) -> None:
    with pytest.raises(ManifestError, match="found no matrices"):
        class_activation.from_npz(data, "saliency.npz")
    with pytest.raises(BundleError, match="found no golden vectors") as caught:
        vectors.from_npz(data, "golden.npz")
    assert caught.value.code == "golden_unreadable"


def test_what_numpy_wrote_reads_back_equal_and_a_large_file_may_be_as_large_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, array = io.BytesIO(), np.arange(10_000, dtype=np.float32)
    np.savez(stream, a=array, b=array[:3])
    monkeypatch.setattr(npz, "MOST_UNPACKED", 1000)
    found = read_arrays(stream.getvalue())
    assert list(found) == ["a", "b"]
    assert (found["a"] == array).all()
    assert found["b"].tolist() == [0, 1, 2]
