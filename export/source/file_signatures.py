"""Identify a file by its first bytes if it is neither a zip archive nor HDF5, and so not a Keras model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class NotAModel:
    """A noun phrase for what was found instead of a model, and the remedy as a sentence."""

    found: str
    remedy: str


AGAIN = "Download it again, and compare its size or hash with the source's."
SOURCE = "Give the Keras model that it was made from."
UNPACK = "Unpack it and give the model in it."
_FOLDER = "Give the whole folder of the SavedModel, with saved_model.pb and variables, or the Keras model."

HEAD_BYTES = 1024
"""Number of leading bytes that :func:`fault_of` requires."""

_POINTERS = (
    (
        b"version https://git-lfs",
        NotAModel("a git-lfs pointer in place of the file", "Fetch the file with: git lfs pull"),
    ),
    (b"/annex/objects/", NotAModel("a git-annex pointer in place of the file", "Fetch the file with: git annex get")),
)
_KINDS = (
    *_POINTERS,
    (b"\x1f\x8b", NotAModel("a gzip file", UNPACK)),
    (b"BZh", NotAModel("a bzip2 file", UNPACK)),
    (b"\x28\xb5\x2f\xfd", NotAModel("a Zstandard file", UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", NotAModel("a 7-Zip archive", UNPACK)),
    (b"Rar!", NotAModel("a RAR archive", UNPACK)),
    (b"\xfd7zXZ", NotAModel("an xz file", UNPACK)),
    (
        b"\x80",
        NotAModel(
            "a Python pickle, which is not opened because it can run code",
            "Call model.save('x.keras') where it was made.",
        ),
    ),
    (b"outs:\n", NotAModel("a DVC pointer in place of the file", "Fetch the file with: dvc pull")),
    (
        b"version https://hawser",
        NotAModel("a git-lfs pointer in place of the file", "Fetch the file with: git lfs pull"),
    ),
    (b"http", NotAModel("a link in place of the file", "Download the file that it names.")),
    (
        b"\x89HDF\n",
        NotAModel("an HDF5 file whose line ends were changed, as in a text file", "Copy it again, in binary mode."),
    ),
    (b"\x93NUMPY", NotAModel("a NumPy array", "Load it into the network in Python, then call model.save('x.keras').")),
    (b"%PDF", NotAModel("a PDF document", AGAIN)),
    (b"MATLAB", NotAModel("a MATLAB file", SOURCE)),
    (b"GGUF", NotAModel("a GGUF file", SOURCE)),
    (b"L\0\0\0\x01\x14\x02\0", NotAModel("a Windows shortcut", "Give the file that it points to.")),
    (b"\0\x05\x16\x07", NotAModel("a macOS resource file", "Give the file without ._ at the start of its name.")),
    (b"\x89PNG", NotAModel("an image", "Give the model.")),
    (b"\xff\xd8\xff", NotAModel("an image", "Give the model.")),
)
_MARKS = b"\xef\xbb\xbf \t\r\n"
"""Bytes of a byte order mark and of white space, which may precede text."""
_TAG = re.compile(rb"<[!?A-Za-z]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def is_stand_in(head: bytes, *, raw: bool = False) -> bool:
    """Return whether this is a placeholder (zeros, a web page, a git-lfs or git-annex pointer) for a file.

    Args:
        raw: the file is expected to hold plain numbers, which may well begin with zeros.
    """
    head = _as_utf8(head)
    zeros = not raw and not head.strip(b"\0")
    return zeros or _is_page(head) or any(head.startswith(magic) for magic, _ in _POINTERS)


def fault_of(head: bytes) -> NotAModel:
    """Return the kind of a file whose first :data:`HEAD_BYTES` bytes are ``head``."""
    head = _as_utf8(head)
    by_bytes = (fault for magic, fault in _KINDS if head.startswith(magic))
    by_test = (fault(head) for test, fault in _TESTS if test(head))
    unknown = NotAModel(f"a file of an unknown kind, which begins with {head[:8]!r}", AGAIN)
    return next(by_test, None) or next(by_bytes, None) or unknown


def _as_utf8(head: bytes) -> bytes:
    """Return text as UTF-8 without byte order mark; other bytes unchanged."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace").encode("utf-8", "replace")
    return head.removeprefix(b"\xef\xbb\xbf")


def _is_page(head: bytes) -> bool:
    """Return whether this is text with a tag first; numbers in binary may begin with the byte ``<``, too."""
    return _TAG.match(head.lstrip(_MARKS)) is not None and not _CONTROL.search(head)


def is_tflite(head: bytes) -> bool:
    """Return whether a file begins like a TFLite file."""
    return head[4:8] == b"TFL3"


def is_onnx(head: bytes) -> bool:
    """Return whether a file begins like an ONNX file of a known program."""
    return head[:1] == b"\x08" and any(maker in head for maker in (b"onnx", b"pytorch", b"paddle", b"tf2"))


def _is_safetensors(head: bytes) -> bool:
    return head[8:10] == b'{"' and head[4:8] == bytes(4)


def _is_graph(head: bytes) -> bool:
    """Return whether this is saved_model.pb, or a frozen graph: a protobuf of nodes."""
    return (head[:2] == b"\x08\x01" and b"\x12" in head[2:8]) or (
        head[:1] == b"\x0a" and b"\x12\x0bPlaceholder" in head
    )


def _of_json(head: bytes) -> NotAModel:
    text = head.decode("utf-8", "replace")
    if '"class_name"' in text or '"layers"' in text:
        remedy = "Rebuild it with keras.models.model_from_json, load the weights, then call model.save('x.keras')."
        return NotAModel("a network's description in JSON, without weights", remedy)
    return NotAModel(f"JSON, {json.dumps(text[:60])}", AGAIN)


_TESTS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], NotAModel]], ...] = (
    (lambda head: not head, lambda _: NotAModel("an empty file", AGAIN)),
    (lambda head: not head.strip(b"\0"), lambda _: NotAModel("a file of zeros", AGAIN)),
    (_is_safetensors, lambda _: NotAModel("weights without a network (safetensors)", SOURCE)),
    (
        _is_page,
        lambda _: NotAModel("a web page or an XML response", "Download the file itself: sign in, or use its raw link."),
    ),
    (
        lambda head: head[4:8] == b"ORTM",
        lambda _: NotAModel("a model in the ORT format", "Give the .onnx file that it was made from."),
    ),
    (lambda head: head[257:262] == b"ustar", lambda _: NotAModel("a tar archive", UNPACK)),
    (_is_graph, lambda _: NotAModel("the graph of a SavedModel or a frozen graph", _FOLDER)),
    (is_tflite, lambda _: NotAModel("a TFLite file, which is converted already", SOURCE)),
    (is_onnx, lambda _: NotAModel("an ONNX file, which is converted already", SOURCE)),
    (lambda head: head.lstrip(_MARKS).startswith(b"{"), _of_json),
)
