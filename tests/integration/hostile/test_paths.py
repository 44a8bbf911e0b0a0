"""Whatever a path leads to is named or read, and nothing is waited for; all in a process of its own."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.hostile.bounded_reader import read_apart
from tests.unit.images.hostile_files import RGB, encode

NAMES: dict[str, bytes] = {
    "not UTF-8": b"caf\xe9-\xff\xfe.png",
    "newline": b"first\nsecond\r.png",
    "quotes": b"a'b\"c`d$(e);f.png",
    "escape sequence": b"\x1b[31mred\x07.png",
    "right to left": "\u202egnp.\u062a\u0635\u0648\u064a\u0631".encode(),
    "combining marks": "U\u0308-\u00e9-\U0001f469\u200d\u2695.png".encode(),
    "like an option": b"--model",
    "like a pattern": b"*?[a].png",
    "spaces around": b"  a b  ",
    "255 bytes": b"n" * 251 + b".png",
    "percent": b"%s%n{0}.png",
}
ENDINGS = {"PNG": "jpg", "JPEG": "png", "TIFF": "bmp", "BMP": "pgm", "PPM": "webp", "WEBP": "tif"}


def _link(folder: Path, target: str) -> Path:
    (folder / "link.png").symlink_to(target)
    return folder / "link.png"


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(folder)  # the address of a socket holds a hundred bytes
        try:
            bound.bind("s.png")
        finally:
            os.chdir(here)
    return folder / "s.png"


def _linked_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return _link(folder, "fifo")


PLACES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "broken link": ("image_not_found", lambda folder: _link(folder, "nowhere.png")),
    "link to itself": ("image_not_found", lambda folder: _link(folder, "link.png")),
    "link to a folder": ("image_is_directory", lambda folder: _link(folder, ".")),
    "link to a FIFO": ("image_not_regular", _linked_fifo),
    "link to an endless device": ("image_not_regular", lambda folder: _link(folder, "/dev/zero")),
    "empty device": ("image_not_regular", lambda folder: _link(folder, "/dev/null")),
    "socket": ("image_not_regular", _socket),
    "file without a size": ("image_truncated", lambda folder: Path("/proc/version")),
    "name of 256 bytes": ("image_not_found", lambda folder: folder / ("n" * 256)),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the paths are those of Linux")
def test_every_place_that_holds_no_image_is_named_and_none_is_waited_for(tmp_path: Path) -> None:
    paths = []
    for number, (_, put) in enumerate(PLACES.values()):
        (tmp_path / str(number)).mkdir()
        paths.append(str(put(tmp_path / str(number))))
    codes = [found.get("code") for found in read_apart(paths)]
    assert dict(zip(PLACES, codes, strict=False)) == {case: code for case, (code, _) in PLACES.items()}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse some of these names")
def test_no_name_keeps_a_image_from_being_read(tmp_path: Path) -> None:
    expected = hashlib.sha256(np.ascontiguousarray(RGB[..., ::-1]).data).hexdigest()
    paths = [os.path.join(os.fsencode(tmp_path), name) for name in NAMES.values()]
    for path in paths:
        Path(os.fsdecode(path)).write_bytes(encode(RGB, "PNG"))
    found = [answer.get("sha256") for answer in read_apart([os.fsdecode(path) for path in paths])]
    assert dict(zip(NAMES, found, strict=False)) == dict.fromkeys(NAMES, expected)


def test_every_format_is_told_by_its_bytes_under_anothers_ending(tmp_path: Path) -> None:
    expected, paths = {}, []
    for kind, ending in ENDINGS.items():
        data = encode(RGB, kind, **({"lossless": True} if kind == "WEBP" else {}))
        paths.append(tmp_path / f"{kind}.{ending}")
        paths[-1].write_bytes(data)
        bgr = np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[..., ::-1])
        expected[kind] = hashlib.sha256(bgr.data).hexdigest()
    found = [answer.get("sha256") for answer in read_apart([str(path) for path in paths])]
    assert dict(zip(ENDINGS, found, strict=False)) == expected
