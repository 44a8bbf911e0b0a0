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
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, BinaryIO, cast

FRAMES_HELD, SPARE_BYTES = 8, 64 << 20
"""Memory that decoding may take: so many times the decoded frame, and some bytes. JPEG 2000 takes the most."""

MOST_KEPT_BYTES = 512 << 20
"""Memory that may stay with the allocator between frames; above it, this process says that it is to be ended."""

_MAGIC = b"edge-dicom\n"


def serve(descriptor: int) -> None:
    """Answer requests on a socket until its other end closes."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

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
            most = _limit_memory(options)
            frame = encapsulate([stream.read(options.pop("size"))])
            heard.seek(0)
            heard.truncate()
            try:
                decoder: Any = get_decoder(options.pop("syntax"))
                pixels, after = decoder.as_array(
                    frame, index=0, number_of_frames=1, pixel_keyword="PixelData", **options
                )
            except MemoryError:
                short = _in_kib("/proc/meminfo", "MemAvailable") << 10 < most
                _answer(stream, {"memory": True} if short else {"failed": True})
            except Exception:
                _answer(stream, {"failed": True})
            else:
                heard.seek(0)
                told = {
                    "dtype": pixels.dtype.str,
                    "shape": pixels.shape,
                    "photometric": str(after["photometric_interpretation"]),
                    "damaged": bool(heard.read(1)),
                    "grown": _private_bytes() - pixels.nbytes > at_start + MOST_KEPT_BYTES,
                }
                _answer(stream, told, memoryview(pixels.reshape(-1)).cast("B"))


def _answer(stream: BinaryIO, told: dict[str, Any], pixels: bytes | memoryview = b"") -> None:
    stream.write(json.dumps({**told, "size": len(pixels)}).encode("ascii") + b"\n")
    stream.write(pixels)
    stream.flush()


def _limit_memory(options: dict[str, Any]) -> int:
    """Limit the private memory of this process for one frame, and return by how much it may grow, in bytes.

    Beyond it a decoder fails, or ends this process. What the allocator kept of frames before does not count: a decoder
    cannot use all of it.
    """
    size = options["rows"] * options["columns"] * options["samples_per_pixel"] * options["bits_allocated"] // 8
    most = SPARE_BYTES + FRAMES_HELD * int(size)
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
