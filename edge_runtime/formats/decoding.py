"""Decoding with OpenCV, with the decoders' own complaints taken seriously.

libjpeg and libtiff write to the process's standard error directly, past Python and past OpenCV's log
level, and that is the only sign that a JPEG's scan is damaged: the picture comes back all the same. So
for these two formats standard error is led into a file in memory while a picture is decoded, and then
read; lines of others are handed on. The other formats are decoded without that, in parallel if need be:
what their decoders would complain of, the inspectors have refused.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.formats.header import Format, Header, damaged

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()  # standard error belongs to the whole process
_STANDARD_ERROR = 2
_LISTENED = (Format.JPEG, Format.TIFF)

# From libjpeg's jerror.h, and what OpenCV logs for libtiff.
_DAMAGE = re.compile(rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|TIFF_Error")
_DECODER_LINE = re.compile(_DAMAGE.pattern + rb"|^libpng |^\[ ?(?:WARN|ERROR):|^Invalid SOS|^Unknown Adobe|^Warning: ")


def decode(data: bytes, header: Header, name: str) -> Pixels:
    """Decode a whole file that has been inspected.

    Returns:
        uint8 or uint16 pixels by ``header.bit_depth``; grey H×W, or colour H×W×3 in the order BGR.

    Raises:
        ImageUnreadableError: ``image_damaged``, when the decoder gave up, complained of damage, or
            returned another shape or dtype than the header declares.
    """
    if header.format in _LISTENED:
        with _one_at_a_time:
            pixels, said = _decode_listening(data)
    else:
        pixels, said = _decode(data), b""
    if said:
        _log.debug("%s: %s", name, said.decode("utf-8", "replace").strip())
    if pixels is None:
        raise damaged(name, header.format, "it cannot be decoded")
    if complaint := _DAMAGE.search(said):
        raise damaged(name, header.format, f"the decoder says {complaint[0].decode()!r}")
    shape = (header.height_px, header.width_px) + ((header.channels,) if header.channels > 1 else ())
    dtype = np.uint8 if header.bit_depth == 8 else np.uint16
    if pixels.shape != shape or pixels.dtype != dtype:
        found = f"it declares {shape} {np.dtype(dtype)} and decodes as {pixels.shape} {pixels.dtype}"
        raise damaged(name, header.format, found)
    return pixels


def _decode(data: bytes) -> Pixels | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]
    except cv2.error as error:
        _log.debug("%s", error)
        return None


def _decode_listening(data: bytes) -> tuple[Pixels | None, bytes]:
    """Decode, and return with it what the decoders wrote; foreign lines go on to standard error."""
    with _scratch() as scratch:
        with _standard_error_into(scratch.fileno()):
            pixels = _decode(data)
        scratch.seek(0)
        said = scratch.read()
    # Another thread may have written meanwhile: hand its lines on.
    others = [line for line in said.splitlines(keepends=True) if not _DECODER_LINE.search(line)]
    if others:
        os.write(_STANDARD_ERROR, b"".join(others))
    return pixels, said


def _scratch() -> IO[bytes]:
    """A nameless file, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("decoder"), "w+b", buffering=0)
    from tempfile import TemporaryFile

    return TemporaryFile(buffering=0)


@contextmanager
def _standard_error_into(descriptor: int) -> Iterator[None]:
    """Let descriptor 2 lead to ``descriptor`` meanwhile, also in a process that has closed it."""
    try:
        before = os.dup(_STANDARD_ERROR)
    except OSError:
        before = -1
    os.dup2(descriptor, _STANDARD_ERROR)
    try:
        yield
    finally:
        if before < 0:
            os.close(_STANDARD_ERROR)
        else:
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)
