"""Tell by content whether a model is an ONNX file, a TFLite file or a Keras model, and refuse what is none."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.bundle.manifest import Format
from export.errors import ExportError
from export.source.file_kind import check_kind
from export.source.file_signatures import AGAIN, HEAD_BYTES, is_onnx, is_tflite

KIND = {Format.ONNX: "an ONNX file", Format.TFLITE: "a TFLite file"}


def foreign_format(path: Path) -> Format | None:
    """Return the format of an ONNX or TFLite file; None for a Keras model and for everything else."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_tflite(head):
        return Format.TFLITE
    return Format.ONNX if is_onnx(head) or (path.suffix == ".onnx" and head.startswith(b"\x08")) else None


def check_model(path: Path) -> None:
    """Check by content that a path contains a Keras model, an ONNX file or a TFLite file.

    Raises:
        ExportError: the path is missing, incomplete or has other content, or its suffix belongs to another format.
    """
    form = foreign_format(path)
    if form is None:
        check_kind(path)
    elif path.suffix != f".{form.value}":
        raise ExportError(
            f"{path}: found {KIND[form]} with the suffix {path.suffix or '(none)'}, expected .{form.value}. Rename it "
            f"to {path.with_suffix(f'.{form.value}').name}."
        )


def formats_from(network: Path) -> tuple[Format, ...]:
    """Return the formats that can be written from a network: its own for an ONNX or TFLite file, otherwise all."""
    return tuple(form for form in Format if network.suffix == f".{form.value}") or tuple(Format)


def left_out(form: Format) -> str:
    """Return why a bundle made from a file of this format lacks the other format, as a sentence."""
    other = next(each for each in Format if each is not form)
    return f"{KIND[other].split()[1]} files are left out: they cannot be made from {KIND[form]}."


def damaged(path: Path, form: Format) -> ExportError:
    """Return the error for a file that begins like a model and cannot be read to its end."""
    return ExportError(f"{path}: found {KIND[form]} that is truncated or damaged, expected a complete one. {AGAIN}")
