"""Judge the bytes of a DICOM file before they are parsed: prefix, meta header, syntax, size and structure.

pydicom inflates a deflated data set without a bound; here it is inflated with one (PS3.5 A.5).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from edge_runtime.dicom.meta_header import START, as_inflated, read_meta
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.structure import WHOLE, check_structure, cut
from edge_runtime.dicom.syntaxes import DEFLATED, SYNTAXES, Syntax
from edge_runtime.errors import DicomError

MOST_BYTES = 96 << 20
"""Largest file and largest inflated data set in bytes. They are held twice while they are parsed."""

_PREFIX = b"DICM"


@dataclass(frozen=True)
class Judged:
    """A file that may be parsed.

    Attributes:
        data: the whole file; a deflated one is inflated, with the syntax Explicit VR Little Endian.
        syntax: its transfer syntax, as the file states it.
        class_uid: Media Storage SOP Class UID of the meta header; empty if it has none.
    """

    data: bytes
    syntax: Syntax
    class_uid: str


def judge(data: bytes, name: str) -> Judged:
    """Check a file.

    Args:
        data: the whole file.
        name: its name in errors.

    Raises:
        DicomError: ``dicom_no_prefix``, ``dicom_meta``, ``dicom_compression``, ``dicom_truncated``,
            ``dicom_damaged``, ``dicom_too_deep`` or ``dicom_too_large``.
    """
    if len(data) > MOST_BYTES:
        raise too_large(name, f"{len(data)} bytes")
    if data[START - len(_PREFIX) : START] != _PREFIX:
        raise refused(Refusal.NO_PREFIX, name, "no DICM at byte 128", "a DICOM file (PS3.10). Store it as one.")
    meta = read_meta(data, name)
    syntax, end = SYNTAXES.get(meta.syntax), meta.end
    if syntax is None:
        found = "a transfer syntax that is not known"
        raise refused(Refusal.COMPRESSION, name, found, "a lossless one of PS3.5. Decompress it (dcmdjpeg, gdcmconv).")
    if not syntax.readable:
        expected = "single images without video compression. Export a frame as a DICOM image."
        raise refused(Refusal.COMPRESSION, name, syntax.name, expected)
    if meta.syntax == DEFLATED:
        data, end = _inflated(data, end, name)
    check_structure(data, end, syntax, name)
    return Judged(data, syntax, meta.class_uid)


def too_large(name: str, found: str, most: int = MOST_BYTES) -> DicomError:
    """Return the error ``dicom_too_large``."""
    return refused(Refusal.TOO_LARGE, name, found, f"at most {most} bytes. Export fewer frames, or a smaller image.")


def _inflated(data: bytes, end: int, name: str) -> tuple[bytes, int]:
    """Return the file with its data set inflated, and where the data set begins."""
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = machine.decompress(data[end:], MOST_BYTES)
    except zlib.error:
        raise refused(Refusal.DAMAGED, name, "a deflated data set that does not inflate", WHOLE) from None
    if machine.unconsumed_tail or (not machine.eof and len(body) >= MOST_BYTES):
        raise too_large(name, f"a data set that inflates to more than {MOST_BYTES} bytes")
    if not machine.eof:
        raise cut(name)
    head = data[: START - len(_PREFIX)] + _PREFIX + as_inflated(data[START:end])
    return head + body, len(head)
