"""Check that the scans of a JPEG contain the whole image (ITU-T T.81, sections B.2.3 and G.1.1).

A progressive JPEG stores its image in about ten scans, from coarse to fine. If a file is cut between two scans and
closed with an end marker, decoders return a blurred image, or a grey one of a colour original, without a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_SCANS = 100
"""Largest number of scans of one image. Encoders write about ten. The decoder visits all pixels for each scan, so a
file of some kilobytes could otherwise take hours."""

MAX_SCANNED_PIXELS = 1_000_000_000
"""Largest product of pixels and scans: these visits take about two seconds."""

_S_PER_SAMPLE, _S_PER_VISIT, _S_PER_BYTE, _S_PER_PROGRESSIVE_BYTE = 6e-9, 0.6e-9, 3e-9, 22e-9
"""Processor time of libjpeg-turbo 3: transform and colours of a sample, its visit in one scan, a byte of the file."""

_ALL = (1 << 64) - 1  # one bit for each of a block's 64 coefficients
_COEFFICIENT_BYTES = 2


@dataclass(frozen=True)
class Component:
    """One colour component of a frame: its number and its sampling factors."""

    number: int
    horizontal: int
    vertical: int


def components(frame: bytes) -> tuple[Component, ...]:
    """Return the components in a frame header whose length has been checked."""
    rows = (frame[at : at + 2] for at in range(6, len(frame), 3))
    return tuple(Component(number, factors >> 4, factors & 15) for number, factors in rows)


def incomplete(frame: bytes, scans: list[bytes], progressive: bool) -> bool:
    """Return whether a coefficient of a component, or its last bit, is in none of the scans.

    Args:
        frame: payload of the frame header.
        scans: payloads of the scan headers.
        progressive: whether a scan may contain a band of the coefficients, without their last bits.

    Raises:
        ValueError: a scan header contradicts itself.
    """
    left = {component.number: _ALL for component in components(frame)}
    for scan in scans:
        if not scan or len(scan) != 4 + 2 * scan[0]:
            raise ValueError(f"a scan header has {len(scan)} bytes")
        first, last, last_bit = scan[-3], scan[-2], scan[-1] & 15
        if progressive and not first <= last <= 63:
            raise ValueError(f"a scan holds the coefficients {first}..{last}")
        held = (1 << last + 1) - (1 << first) if progressive else _ALL
        for number in scan[1:-3:2]:
            if last_bit == 0 or not progressive:
                left[number] = left.get(number, 0) & ~held
    return any(left.values())


def coefficient_bytes(frame: bytes, pixels: int) -> int:
    """Return the decoder's memory in bytes for an image of several scans: about all coefficients."""
    found = components(frame)
    samples = sum(component.horizontal * component.vertical for component in found)
    return _COEFFICIENT_BYTES * pixels * samples // _finest(found)


def work_s(frame: bytes, scans: list[bytes], progressive: bool, file_bytes: int) -> float:
    """Return the estimated processor time for decoding, in seconds; see ``header.MAX_WORK_S``."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    found = components(frame)
    finest = _finest(found)
    samples = {
        component.number: width * height * component.horizontal * component.vertical / finest for component in found
    }
    visited = sum(samples.get(number, 0.0) for scan in scans for number in scan[1:-3:2])
    coded = file_bytes * (_S_PER_PROGRESSIVE_BYTE if progressive else _S_PER_BYTE)
    return sum(samples.values()) * _S_PER_SAMPLE + visited * _S_PER_VISIT + coded


def _finest(found: tuple[Component, ...]) -> int:
    """Return the number of samples of the finest component in each unit of the frame, 1 or more."""
    across, down = max(component.horizontal for component in found), max(component.vertical for component in found)
    return max(1, across * down)
