"""A process of its own in which compressed frames are decoded; :mod:`edge_runtime.dicom.isolation` starts it.

Decoders in C++ end their process on some damaged frames, and a header of JPEG 2000 of a few bytes makes them allocate
gigabytes. So this process limits its own memory. A request is a line of JSON and the frame; an answer is a line
of JSON, and the pixels if there are any. What decoders write on standard error is their only word about damage, so it
is caught and told.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, BinaryIO, cast

OPENJPEG = "pylibjpeg"
"""pydicom's name of pylibjpeg-openjpeg. Of JPEG 2000 frames, python-gdcm holds two copies more."""

MOST_BYTES = 432 << 20
"""Memory that decoding one frame may fill. With this process itself, it stays below 512 MB."""

_SPARE_BYTES, _ENCODED_HELD, _FRAMES_HELD = 32 << 20, 3, 8  # python-gdcm reserves for its text more than it fills
_SAMPLE_BYTES = 4  # OpenJPEG holds int32

MOST_KEPT_BYTES = 64 << 20
"""Memory that may stay with the allocator between frames; above it, this process says that it is to be ended."""

_MAGIC = b"edge-dicom\n"
_FRAGMENT, _ITEM = struct.Struct("<HHIHHI"), (0xFFFE, 0xE000)


def serve(descriptor: int) -> None:
    """Answer requests on a socket until its other end closes."""
    import numpy as np
    from pydicom.pixels import get_decoder

    _reserve_for_products()
    at_start = _private_bytes()
    warnings.simplefilter("ignore")  # only what the decoders themselves write counts as damage
    with (
        socket.socket(fileno=descriptor) as channel,
        cast("BinaryIO", channel.makefile("rwb")) as stream,
        tempfile.TemporaryFile(buffering=0) as heard,
    ):
        os.dup2(heard.fileno(), 2)
        stream.write(_MAGIC)
        stream.flush()
        while request := stream.readline():
            options = json.loads(request)
            decoder: Any = get_decoder(options.pop("syntax"))
            size = options.pop("size")
            most = _limit_memory(needed_bytes(size, options) + _array_bytes(options))
            frame = _fragment(stream, size)
            heard.seek(0)
            heard.truncate()
            told: dict[str, Any]
            try:
                pixels, after = decoder.as_array(
                    frame, index=0, number_of_frames=1, pixel_keyword="PixelData", **options
                )
            except MemoryError:
                short = _in_kib("/proc/meminfo", "MemAvailable") << 10 < most
                told = {"memory": True} if short else {"failed": True}
                pixels = np.empty(0, np.uint8)
            except Exception:
                told, pixels = {"failed": True}, np.empty(0, np.uint8)
            else:
                heard.seek(0)
                told = {
                    "dtype": pixels.dtype.str,
                    "shape": pixels.shape,
                    "photometric": str(after["photometric_interpretation"]),
                    "damaged": bool(heard.read(1)),
                }
            del frame
            told["grown"] = _private_bytes() - pixels.nbytes > at_start + MOST_KEPT_BYTES
            _answer(stream, told, memoryview(pixels.reshape(-1)).cast("B"))
            del pixels  # before the next one is decoded


def _reserve_for_products() -> None:
    """Let NumPy's BLAS reserve its buffer of 32 MB, once for the process, before memory is limited.

    Colours are converted by a product of matrices. BLAS ends the process if it cannot reserve: this one ended at
    colour frames of less than half a megabyte.
    """
    import numpy as np

    np.matmul(np.ones((256, 256), np.float32), np.ones((256, 256), np.float32))


def _fragment(stream: BinaryIO, size: int) -> bytearray:
    """Read a frame, and return it as pixel data of one fragment after an empty offset table (PS3.5 A.4)."""
    frame = bytearray(_FRAGMENT.size + size + size % 2)
    _FRAGMENT.pack_into(frame, 0, *_ITEM, 0, *_ITEM, len(frame) - _FRAGMENT.size)
    with memoryview(frame) as held:
        stream.readinto(held[_FRAGMENT.size : _FRAGMENT.size + size])  # type: ignore[attr-defined]
    return frame


def _answer(stream: BinaryIO, told: dict[str, Any], pixels: bytes | memoryview = b"") -> None:
    stream.write(json.dumps({**told, "size": len(pixels)}).encode("ascii") + b"\n")
    stream.write(pixels)
    stream.flush()


def needed_bytes(size: int, options: dict[str, Any]) -> int:
    """Return the memory that decoding a sound frame may fill.

    A hostile header of JPEG 2000 makes OpenJPEG fill all that it gets, so it gets no more.

    Args:
        size: bytes of the compressed frame.
        options: as in :func:`edge_runtime.dicom.isolation.decode_frame`.
    """
    array = _array_bytes(options)
    if options["decoding_plugin"] == OPENJPEG:
        decoded = array // (options["bits_allocated"] // 8) * _SAMPLE_BYTES + array
    else:
        decoded = _FRAMES_HELD * array
    return int(_SPARE_BYTES + _ENCODED_HELD * size + decoded)


def _array_bytes(options: dict[str, Any]) -> int:
    """Return the size of the decoded frame. pydicom reserves it before decoding, and fills it after."""
    return int(options["rows"] * options["columns"] * options["samples_per_pixel"] * options["bits_allocated"] // 8)


def _limit_memory(most: int) -> int:
    """Let the private memory of this process grow by so many bytes, and return the number.

    Beyond it a decoder fails, or ends this process. What the allocator kept of frames before does not count: a decoder
    cannot use all of it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _private_bytes() + most
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    return most


def _private_bytes() -> int:
    return _in_kib("/proc/self/status", "VmData") << 10


def _in_kib(path: str, name: str) -> int:
    """Return a value of a file of Linux that lists memory in KiB."""
    line = next(line for line in Path(path).read_text("ascii").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def main() -> None:
    """Run as a program with the number of a descriptor."""
    serve(int(sys.argv[1]))
