"""A process of its own in which compressed frames are decoded; :mod:`edge_runtime.dicom.isolation` starts it.

Decoders in C++ end their process on some damaged frames. A request is a line of JSON and the frame; an answer is a line
of JSON, and the pixels if there are any. What decoders write on standard error is their only word about damage, so it
is caught and told.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import warnings
from typing import Any, BinaryIO, cast

_MAGIC = b"edge-dicom\n"


def serve(descriptor: int) -> None:
    """Answer requests on a socket until its other end closes."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

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
            frame = encapsulate([stream.read(options.pop("size"))])
            heard.seek(0)
            heard.truncate()
            try:
                decoder: Any = get_decoder(options.pop("syntax"))
                pixels, after = decoder.as_array(
                    frame, index=0, number_of_frames=1, pixel_keyword="PixelData", **options
                )
            except MemoryError:
                _answer(stream, {"memory": True})
            except Exception:
                _answer(stream, {"failed": True})
            else:
                heard.seek(0)
                told = {
                    "dtype": pixels.dtype.str,
                    "shape": pixels.shape,
                    "photometric": str(after["photometric_interpretation"]),
                    "damaged": bool(heard.read(1)),
                }
                _answer(stream, told, memoryview(pixels.reshape(-1)).cast("B"))


def _answer(stream: BinaryIO, told: dict[str, Any], pixels: bytes | memoryview = b"") -> None:
    stream.write(json.dumps({**told, "size": len(pixels)}).encode("ascii") + b"\n")
    stream.write(pixels)
    stream.flush()


def main() -> None:
    """Run as a program with the number of a descriptor."""
    serve(int(sys.argv[1]))
