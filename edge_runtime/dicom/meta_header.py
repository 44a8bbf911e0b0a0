"""The meta header of a DICOM file (PS3.10 section 7.1): group 0002, always Explicit VR Little Endian."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.structure import LONG, SHORT, cut
from edge_runtime.dicom.syntaxes import EXPLICIT_LITTLE
from edge_runtime.errors import EdgeError

START = 132
"""Place of the first element, after preamble and prefix."""

_MOST = 1 << 16
_SYNTAX, _CLASS = 0x0010, 0x0002


@dataclass(frozen=True)
class MetaHeader:
    """What the meta header says.

    Attributes:
        syntax: Transfer Syntax UID.
        class_uid: Media Storage SOP Class UID; empty if it is missing.
        end: place of the first byte after it.
    """

    syntax: str
    class_uid: str
    end: int


def class_in_meta(head: bytes) -> str:
    """Return the SOP class that the meta header states; empty if it is not in the first bytes of the file."""
    try:
        return read_meta(head, "").class_uid
    except EdgeError:
        return ""


def read_meta(data: bytes, name: str) -> MetaHeader:
    """Read the meta header.

    Args:
        data: a file from its beginning.
        name: its name in errors.

    Raises:
        DicomError: ``dicom_truncated`` or ``dicom_meta``.
    """
    place, found = START, dict[int, bytes]()
    while data[place : place + 2] == b"\x02\0" and place < START + _MOST:
        try:
            _, element, vr = struct.unpack_from("<HH2s", data, place)
            if vr in LONG:
                size, start = struct.unpack_from("<I", data, place + 8)[0], place + 12
            else:
                size, start = struct.unpack_from("<H", data, place + 6)[0], place + 8
        except struct.error:
            raise cut(name) from None
        if vr not in LONG | SHORT or start + size > min(len(data), START + _MOST) or element in found:
            raise refused(Refusal.META, name, "a damaged meta header", "one as in PS3.10. Store the object again.")
        found[element] = data[start : start + size]
        place = start + size
    uid = _uid(found.get(_SYNTAX, b""))
    if not uid:
        expected = "one with a transfer syntax (PS3.10). Store the object again."
        raise refused(Refusal.META, name, "a meta header without transfer syntax", expected)
    return MetaHeader(uid, _uid(found.get(_CLASS, b"")), place)


def as_inflated(meta: bytes) -> bytes:
    """Return the elements of a meta header with the syntax of a deflated data set after it was inflated."""
    place = meta.find(b"\x02\0\x10\0UI")
    old = struct.unpack_from("<H", meta, place + 6)[0]
    new = EXPLICIT_LITTLE.encode() + b"\0" * (len(EXPLICIT_LITTLE) % 2)
    return meta[: place + 6] + struct.pack("<H", len(new)) + new + meta[place + 8 + old :]


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "replace")
