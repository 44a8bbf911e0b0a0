"""Decode compressed frames in a process of its own, which a hostile frame may end without harm.

The process is started when the first compressed frame comes, serves one frame at a time, and ends with this process.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from edge_runtime.platform.fork_safety import ForkSafeLock

LONGEST_S = 120.0
"""Longest time for one frame, in seconds. The largest mammograms take two on a slow machine."""

_START = "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); "
_RUN = "from edge_runtime.dicom.decoder_process import main; main()"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class FrameError(Exception):
    """A frame could not be decoded. ``memory``: whether the process had too little memory."""

    def __init__(self, *, memory: bool = False) -> None:
        super().__init__("frame not decoded")
        self.memory = memory


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """A decoded frame.

    Attributes:
        pixels: as the decoder gives them.
        photometric: photometric interpretation after decoding.
        damaged: whether the decoder reported damage.
    """

    pixels: npt.NDArray[Any]
    photometric: str
    damaged: bool


class _Decoder:
    """The other process, of this process: a child of a fork starts its own."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: BinaryIO | None = None

    def decode(self, frame: bytes, options: dict[str, Any]) -> DecodedFrame:
        with self._lock.held:
            stream, told = self._opened(), {}
            try:
                stream.write(json.dumps({**options, "size": len(frame)}).encode("ascii") + b"\n")
                stream.write(frame)
                stream.flush()
                told = json.loads(stream.readline() or b"{}")
                data = stream.read(told.get("size", 0))
                if told.get("grown", True):  # or it ended
                    self.close()
                if "dtype" in told:
                    pixels = np.frombuffer(data, told["dtype"]).reshape(told["shape"])
                    return DecodedFrame(pixels, told["photometric"], told["damaged"])
            except (OSError, ValueError):  # it takes too long
                self.close()
            raise FrameError(memory="memory" in told)

    def _opened(self) -> BinaryIO:
        """Return the stream to the process; start it first if it does not run.

        Raises:
            OSError: the machine cannot start it.
            FrameError: it ended at once.
        """
        if self._stream is not None and self._owner == os.getpid():
            return self._stream
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = [sys.executable, "-c", _START + _RUN, str(theirs.fileno()), json.dumps(sys.path)]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD},
            )
            ours.settimeout(LONGEST_S)
            stream = cast("BinaryIO", ours.makefile("rwb"))  # it keeps the socket open
        self._stream, self._owner = stream, os.getpid()
        try:
            started = bool(stream.readline())
        except OSError:
            started = False
        if not started:
            self.close()
            raise FrameError
        return stream

    def close(self) -> None:
        """End the process, unless another process started it."""
        stream, process, self._stream, self._process = self._stream, self._process, None, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
        if stream is not None:
            with suppress(OSError):
                stream.close()


_DECODER = _Decoder()
atexit.register(_DECODER.close)


def end_decoder() -> None:
    """End the process; the next compressed frame starts another."""
    _DECODER.close()


def decode_frame(frame: bytes, options: dict[str, Any]) -> DecodedFrame:
    """Decode one compressed frame.

    Args:
        frame: its bytes.
        options: ``syntax``, and the options of pydicom's decoders (``rows``, ``columns`` and others).

    Raises:
        FrameError: the decoder failed, ended or took too long.
    """
    return _DECODER.decode(frame, options)
