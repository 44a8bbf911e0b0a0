"""A bundle of a few kilobytes that opens, verifies and installs; its one model file runs nowhere."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

from edge_runtime.bundle.bundle import describe_files, find, write_manifest
from edge_runtime.bundle.embedded import KEY
from edge_runtime.bundle.manifest import Format, Precision, Role
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import canonical_json
from tests.system_4 import BUNDLE

MODEL, CARD = "model.int8.onnx", "MODEL_CARD.md"
FILES = 2


def make(folder: Path, *, name: str = "tiny", version: str = "1.0.0", card: str = "A card.\n") -> Path:
    """Write the bundle into ``folder`` and return it."""
    manifest = find(BUNDLE).manifest
    spec = replace(manifest.spec, name=name, version=version)
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(onnx_file(spec))
    (folder / CARD).write_text(card, encoding="utf-8")
    rows = [(MODEL, Role.MODEL, Format.ONNX, Precision.INT8), (CARD, Role.CARD, None, None)]
    write_manifest(folder, replace(manifest, spec=spec, files=describe_files(folder, rows), quantised=None))
    return folder


def onnx_file(spec: ModelSpec) -> bytes:
    """Return a ModelProto that holds a producer's name and the spec in ``metadata_props``, written by hand."""
    entry = _field(1, KEY.encode()) + _field(2, canonical_json(spec).encode())
    return _field(2, b"nobody" * 50) + _field(14, entry)


def _field(number: int, data: bytes) -> bytes:
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def zipped(folder: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a folder's files into a zip beside it."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path
