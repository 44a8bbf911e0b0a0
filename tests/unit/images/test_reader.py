"""Paths and arrays: what leads to an image, and the name of everything that does not."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError, ImageNotFoundError, ImageSizeError, ImageUnsupportedError
from edge_runtime.images import reader
from edge_runtime.images.colour import ColourOrder

_RNG = np.random.default_rng(22)
RGB = _RNG.integers(0, 256, (31, 19, 3), dtype=np.uint8)
GREY = RGB[..., 0].copy()
GREY16 = _RNG.integers(0, 65536, (31, 19), dtype=np.uint16)


def pillow(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """Encode with Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


BGR16 = np.dstack([GREY16, GREY16[::-1], GREY16[:, ::-1]])


@pytest.mark.parametrize("name", ["a.png", "wrong.jpg", "no_extension", "Übersicht 切片 🩻.tif", "n" * 200])
def test_the_content_decides_and_the_name_does_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pillow(RGB, "PNG"))
    for source in (path, str(path)):
        image = reader.read(source)
        assert image.name == str(path)
        np.testing.assert_array_equal(image.pixels[..., ::-1], RGB)


def _loop(folder: Path) -> Path:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a"


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo.png")
    return folder / "fifo.png"


def _written(folder: Path, data: bytes) -> Path:
    (folder / "file.png").write_bytes(data)
    return folder / "file.png"


_NO_FILE = ("image_not_found", "image_is_directory", "image_not_regular")
PATHS: dict[str, tuple[str, Callable[[Path], Path | str]]] = {
    "missing": ("image_not_found", lambda folder: folder / "missing.png"),
    "below a file": ("image_not_found", lambda folder: _written(folder, b"x") / "below.png"),
    "symlink loop": ("image_not_found", _loop),
    "too long a name": ("image_not_found", lambda folder: folder / ("n" * 5000)),
    "a zero in the name": ("image_not_found", lambda _: "a\0b.png"),
    "no name": ("image_not_found", lambda _: ""),
    "directory": ("image_is_directory", lambda folder: folder),
    "fifo": ("image_not_regular", _fifo),
    "device": ("image_not_regular", lambda _: "/dev/zero"),
    "empty": ("image_empty", lambda folder: _written(folder, b"")),
    "text renamed": ("image_format", lambda folder: _written(folder, b"patient notes\n" * 9)),
}


@pytest.mark.skipif(sys.platform == "win32", reason="the paths are those of POSIX systems")
@pytest.mark.parametrize("case", PATHS)
def test_a_path_to_no_image_is_named_and_never_hangs(tmp_path: Path, case: str) -> None:
    code, make = PATHS[case]
    with pytest.raises(ImageError) as caught:
        reader.read(make(tmp_path))
    assert caught.value.code == code
    assert "expected" in caught.value.message
    assert isinstance(caught.value, ImageNotFoundError) is (code in _NO_FILE)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = _written(tmp_path, pillow(RGB, "PNG"))
    path.chmod(0)
    with pytest.raises(ImageError) as caught:
        reader.read(path)
    assert caught.value.code == "image_permission"


def test_refused_permission_is_named_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = _written(tmp_path, pillow(RGB, "PNG"))
    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ImageError) as caught:
        reader.read(path)
    assert caught.value.code == "image_permission"


def test_a_file_system_that_returns_fewer_bytes_than_asked_for_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = _written(tmp_path, pillow(RGB, "PNG")), os.read
    expected = reader.read(path)
    monkeypatch.setattr("os.read", lambda descriptor, count: read(descriptor, min(count, 7)))
    found = reader.read(path)
    monkeypatch.undo()
    assert str(found.sha256) == str(expected.sha256) and np.array_equal(found.pixels, expected.pixels)


def test_a_sparse_file_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(reader.MAX_BYTES + 1)
    with pytest.raises(ImageSizeError) as caught:
        reader.read(tmp_path / "huge.png")
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize("side, refused", [(19, False), (20, True)])
def test_the_shorter_side_decides_whether_a_image_is_too_small(side: int, refused: bool) -> None:
    for source in (pillow(RGB, "PNG"), RGB):
        if refused:
            with pytest.raises(ImageSizeError) as caught:
                reader.read(source, min_side_px=side)
            assert caught.value.code == "image_too_small"
        else:
            assert reader.read(source, min_side_px=side).pixels.shape == RGB.shape


ARRAYS: dict[str, np.ndarray] = {
    "colour": RGB,
    "colour 16 bit": BGR16,
    "grey": GREY,
    "grey with a channel axis": GREY[..., np.newaxis],
    "mirrored view": RGB[:, ::-1],
    "every other column": GREY16[:, ::2],
    "big-endian 16 bit": GREY16.astype(">u2"),
    "Fortran order": np.asfortranarray(RGB),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_is_taken_as_it_is(case: str) -> None:
    array = ARRAYS[case]
    image = reader.read(array, order=ColourOrder.BGR, name="mine")
    np.testing.assert_array_equal(image.pixels, array.squeeze())
    assert image.pixels.flags.c_contiguous
    assert image.pixels.dtype.isnative
    assert image.order is (ColourOrder.BGR if image.pixels.ndim == 3 else ColourOrder.GREY)
    assert image.name == "mine"


BAD_SOURCES: dict[str, object] = {
    "float": RGB / 255.0,
    "bool": GREY > 9,
    "signed": GREY.astype(np.int16),
    "32 bit": GREY.astype(np.uint32),
    "four channels": np.zeros((9, 9, 4), np.uint8),
    "channels first": np.zeros((3, 9, 9), np.uint8),
    "batch": RGB[np.newaxis],
    "vector": GREY[0],
    "scalar": np.uint8(3) * np.ones((), np.uint8),
    "object": np.array([[None]]),
    "text": np.array([["a"]]),
    "no rows": np.zeros((0, 9), np.uint8),
    "masked": np.ma.masked_less(GREY, 9),
    "list": [[1, 2], [3, 4]],
    "number": 0,
    "nothing": None,
}


@pytest.mark.parametrize("case", BAD_SOURCES)
def test_what_is_no_image_in_memory_is_refused_with_what_to_do(case: str) -> None:
    with pytest.raises(ImageUnsupportedError) as caught:
        reader.read(BAD_SOURCES[case])  # type: ignore[arg-type]
    assert caught.value.code == "image_array"
    assert "uint8 or uint16" in caught.value.message


def test_three_channels_cannot_be_called_grey() -> None:
    with pytest.raises(ImageUnsupportedError, match="with order GREY"):
        reader.read(RGB, order=ColourOrder.GREY)
