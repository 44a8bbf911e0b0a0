"""Decoding is silent, listens to the decoders, and leaves standard error as it was."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError, ImageUnreadableError
from edge_runtime.images import reader
from edge_runtime.images.formats import decoding

_RNG = np.random.default_rng(24)
RGB = _RNG.integers(0, 256, (31, 19, 3), dtype=np.uint8)


def pillow(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """Encode with Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _noisy_files() -> list[bytes]:
    """Files on which OpenCV's decoders write to standard error."""
    png, jpeg = pillow(RGB, "PNG"), pillow(RGB, "JPEG")
    broken = jpeg[:-2] + b"a" * 64 + jpeg[-2:]
    return [broken, png[:99], pillow(RGB, "TIFF")]


def test_decoders_write_nothing_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    codes = []
    for data in _noisy_files():
        try:
            codes.append(reader.read(data).name)
        except ImageError as error:
            codes.append(error.code)
    assert codes == ["image_damaged", "image_truncated", "bytes"]
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are handed on differently")
def test_a_process_without_standard_error_decodes_and_still_has_none() -> None:
    program = (
        "import os, sys; os.close(2)\n"
        "from edge_runtime.images import reader\n"
        "pixels = reader.read(sys.stdin.buffer.read()).pixels\n"
        "try: os.fstat(2); print('open')\n"
        "except OSError: print('closed', pixels.shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=pillow(RGB, "JPEG"), capture_output=True, check=True)
    assert done.stdout.strip() == b"closed (31, 19, 3)"


def test_what_others_write_meanwhile_reaches_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = decoding.cv2.imdecode

    def decode_while_another_thread_writes(*arguments: object) -> object:
        os.write(2, b"a line of another thread\nInvalid SOS parameters: a line of the decoder\n")
        return decode(*arguments)

    monkeypatch.setattr(decoding.cv2, "imdecode", decode_while_another_thread_writes)
    reader.read(pillow(RGB, "JPEG"))
    assert capfd.readouterr().err == "a line of another thread\n"


def test_pixels_unlike_the_header_are_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding.cv2, "imdecode", lambda *_: RGB[:-1])
    with pytest.raises(ImageUnreadableError, match="it declares") as caught:
        reader.read(pillow(RGB, "PNG"))
    assert caught.value.code == "image_damaged"


def test_an_error_of_opencv_becomes_a_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise decoding.cv2.error("out of something")

    monkeypatch.setattr(decoding.cv2, "imdecode", fail)
    with pytest.raises(ImageUnreadableError, match="cannot be decoded"):
        reader.read(pillow(RGB, "PNG"))
