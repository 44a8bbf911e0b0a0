"""Read the spec embedded in a model file, without an interpreter.

TFLite: the buffer of the entry ``edge_predict_spec`` in ``Model.metadata`` (flatbuffer schema v3,
tensorflow/compiler/mlir/lite/schema/schema.fbs). ONNX: the entry ``edge_predict_spec`` in
``ModelProto.metadata_props`` (onnx.proto, field 14). Both contain the spec's canonical JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edge_runtime.bundle.limits import LARGEST_RECORD
from edge_runtime.bundle.runtime_manifest import Format
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.serialisation.records import from_json

KEY = "edge_predict_spec"

_BUFFERS, _METADATA = 4, 6  # fields of tflite.Model
_NAME, _BUFFER = 0, 1  # fields of tflite.Metadata
_DATA = 0  # field of tflite.Buffer
_METADATA_PROPS = 14  # field of onnx.ModelProto


def read_embedded(model: bytes, form: Format, where: str) -> ModelSpec:
    """Return the spec embedded in the bytes of a ``.tflite`` or ``.onnx`` file; ``where`` names it in errors.

    Raises:
        ManifestError: the file contains no spec, or one that this release cannot read.
    """
    try:
        text = _tflite_entry(model) if form is Format.TFLITE else _onnx_entry(model)
    except (struct.error, IndexError):
        raise ManifestError(f"{where}: damaged, expected a {form.value} model. Copy the file again.") from None
    if text is None:
        raise ManifestError(
            f"{where}: found no embedded spec {KEY!r}, so its preprocessing is unknown. "
            "Use a file from a bundle, or export the model with python -m export."
        )
    if len(text) > LARGEST_RECORD:
        raise ManifestError(
            f"{where}: its spec has {len(text)} bytes, expected at most {LARGEST_RECORD}. Export again."
        )
    return from_json(ModelSpec, text, f"{where} ({KEY})")


def _tflite_entry(model: bytes) -> bytes | None:
    if model[4:8] != b"TFL3":
        raise struct.error("no TFL3 file")
    root = _offset(model, 0)
    for entry in _vector(model, _field(model, root, _METADATA)):
        name = _field(model, entry, _NAME)
        if name is not None and _bytes(model, name) == KEY.encode():
            place = _field(model, entry, _BUFFER, pointer=False)
            index = struct.unpack_from("<I", model, place)[0] if place is not None else 0
            buffer = list(_vector(model, _field(model, root, _BUFFERS)))[index]
            data = _field(model, buffer, _DATA)
            return _bytes(model, data) if data is not None else None
    return None


def _offset(model: bytes, place: int) -> int:
    return place + int(struct.unpack_from("<I", model, place)[0])


def _field(model: bytes, table: int, number: int, *, pointer: bool = True) -> int | None:
    """Return the position of a table's field, or the position that it points to; None if the field is absent."""
    vtable = table - struct.unpack_from("<i", model, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", model, vtable)[0]:
        return None
    inside = struct.unpack_from("<H", model, vtable + 4 + 2 * number)[0]
    if inside == 0:
        return None
    return _offset(model, table + inside) if pointer else table + inside


def _vector(model: bytes, place: int | None) -> Iterator[int]:
    if place is not None:
        for i in range(struct.unpack_from("<I", model, place)[0]):
            yield _offset(model, place + 4 + 4 * i)


def _bytes(model: bytes, place: int) -> bytes:
    size = struct.unpack_from("<I", model, place)[0]
    return model[place + 4 : place + 4 + size]


def _onnx_entry(model: bytes) -> bytes | None:
    for number, value in _fields(model):
        if number == _METADATA_PROPS:
            entry = dict(_fields(value))
            if entry.get(1) == KEY.encode():
                return entry.get(2)
    return None


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and value of the length-delimited fields of a protobuf message; skip other fields."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        wire = tag & 7
        if wire == 0:
            _, place = _varint(message, place)
        elif wire == 2:
            size, place = _varint(message, place)
            if place + size > len(message):
                raise struct.error("field runs past the end")
            yield tag >> 3, message[place : place + size]
            place += size
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        else:
            raise struct.error(f"wire type {wire}")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise struct.error("varint too long")
