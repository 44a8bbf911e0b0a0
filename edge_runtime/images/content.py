"""Detect the kind of a file from its first bytes, to decide whether a folder's file is predicted or left out."""

from __future__ import annotations

import enum
import re

HEAD_BYTES = 1024
"""Number of first bytes of a file that :func:`kind_of` requires."""


class ContentKind(enum.Enum):
    """The kind of a file, from its first bytes."""

    IMAGE = enum.auto()  # a format that the reader decodes, or an image format that it rejects with an error
    CAMERA_RAW = enum.auto()
    DICOM = enum.auto()
    APPLE_DOUBLE = enum.auto()
    OTHER = enum.auto()


_GAP = rb"\s(?:\s|#[^\r\n]*[\r\n])*"

# Stricter than the reader: here no file extension and no person says that the file is an image, and text files may
# begin with BM or P5.
_TAKEN = (
    rb"\x89PNG|\xff\xd8\xff|II\x2a\0|MM\0\x2a|RIFF.{4}WEBP"
    rb"|BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0"  # the header sizes that exist
    rb"|P[56]" + (_GAP + rb"\d+") * 3
)
_NOT_TAKEN = (
    rb"GIF8[79]a|.{4}ftyp(?:avi[fs]|hei[cmsx]|hev[cmsx]|mif1|msf1)|8BPS\0"
    rb"|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51|\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n|II\xbc|AT&TFORM"
    rb"|II\x2b\0|MM\0\x2b|P[1-4]"
    + (_GAP + rb"\d+")
    * 2
    + rb"|P[Ff]\s+\d|P7\n|\x76\x2f\x31\x01|#\?(?:RADIANCE|RGBE)|qoif"
    rb"|SIMPLE  =|NRRD000|SDPX|XPDS|gimp xcf|BPG\xfb|\x59\xa6\x6a\x95|\x01\xda[\0\x01][\x01\x02]"
    rb"|ObjectType *= *Image|.{344}n[+i]1\0"
)
_DICOM = (
    rb".{128}DICM"
    # without the preamble, as older devices write it: the first element of group 2 or 8, with its length
    rb"|\x02\0\0\0UL\x04\0|\x08\0[\0\x01\x05\x08]\0(?:UL|CS|UI)|\x08\0\0\0\x04\0\0\0|\x08\0[\x05\x08]\0.\0\0\0"
    rb"|\0\x08\0[\0\x05\x08](?:UL|CS|\0\0)"  # big-endian
)
_CAMERA_RAW = rb"II\x2a\0.{4}CR|IIR[OS]\x08\0|IIU\0|FUJIFILMCCD-RAW|FOVb|.{4}ftypcrx|\0MRM"

_KINDS = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\0\x05\x16\x07", ContentKind.APPLE_DOUBLE),
        (_DICOM, ContentKind.DICOM),
        (_CAMERA_RAW, ContentKind.CAMERA_RAW),
        (_TAKEN, ContentKind.IMAGE),
        (_NOT_TAKEN, ContentKind.IMAGE),
    )
)


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is DICOM: with its prefix, or as older devices write it."""
    return kind_of(head) is ContentKind.DICOM


def kind_of(head: bytes) -> ContentKind:
    """Return the kind of a file that begins with ``head``: its first HEAD_BYTES bytes, or the whole file."""
    for pattern, kind in _KINDS:
        if pattern.match(head):
            return kind
    return ContentKind.OTHER
