"""Read damaged DICOM files in a process of its own: ``python -m tests.integration.dicom.fuzz FOLDER SEED COUNT``.

Prints JSON: how often each error code occurred, how many files were read, and peaks of memory in MB. Any error
without a code ends the program with a traceback.
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
from collections import Counter
from pathlib import Path

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.isolation import end_decoder
from edge_runtime.dicom.pixels import image_of
from edge_runtime.errors import EdgeError
from tests.dicom_specs import ANYTHING

HEADER = 2000
"""Damage is done within this many bytes after the prefix: all of the header, the first fragments, some pixels."""


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return a file with one to four faults."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(132, min(len(found) - 2, 132 + HEADER))
        match chance.randrange(6):
            case 0:
                found[place] = chance.randrange(256)
            case 1:
                found[place] ^= 1 << chance.randrange(8)
            case 2:  # a number: a length, or Rows
                value = chance.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.getrandbits(32)))
                struct.pack_into("<H", found, place, value & 0xFFFF)
                if chance.random() < 0.5 and place + 4 <= len(found):
                    struct.pack_into("<I", found, place, value)
            case 3:
                del found[place : place + chance.randint(1, 16)]
            case 4:
                found[place:place] = chance.randbytes(chance.randint(1, 16))
            case _:
                if chance.random() < 0.3:
                    del found[place:]
        if len(found) < 140:
            break
    return bytes(found)


def attempt(data: bytes, spec: ModelSpec) -> str:
    """Return ``read`` or the code of the error."""
    try:
        image_of(read_dataset(data), spec)
    except EdgeError as error:
        return error.code
    return "read"


def peak_mb() -> float:
    """Return the peak of resident memory of this process (VmHWM)."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(folder: str, seed: int, count: int) -> None:
    """Read ``count`` damaged copies of the files of a folder."""
    files = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    chance, found = random.Random(seed), Counter[str]()
    for _ in range(count):
        found[attempt(damaged(chance.choice(files), chance), ANYTHING)] += 1
    end_decoder()
    of_decoder = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"found": dict(found), "peak_mb": peak_mb(), "decoder_mb": of_decoder}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
