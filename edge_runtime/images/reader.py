"""From a file, bytes or an array to a :class:`Image`, or to an error that says why not.

Nothing here changes a value: no conversion of colours, depth, orientation or size. What cannot be
handed on as it is stored is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import (
    ImageError,
    ImageNotFoundError,
    ImageSizeError,
    ImageUnreadableError,
    ImageUnsupportedError,
    MachineError,
)
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.formats import MAX_PIXELS, inspect
from edge_runtime.images.formats.acceptance import check, check_size
from edge_runtime.images.formats.decoding import Pixels, decode
from edge_runtime.images.formats.header import for_decoder
from edge_runtime.platform.machine_faults import machine_error, raise_machine_fault

__all__ = ["MAX_BYTES", "MAX_PIXELS", "DecodedImage", "Source", "read", "source_name"]

MAX_BYTES = MAX_PIXELS * 6 + 1_000_000
"""Largest file: MAX_PIXELS of uncompressed 16-bit colour, and a megabyte of headers and profiles."""

Source = str | os.PathLike[str] | bytes | npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """Pixels as stored, never altered.

    Attributes:
        name: what error messages call it.
        pixels: uint8 (0..255) or uint16 (0..65535), C-contiguous; H×W for grey, H×W×3 for colour.
        order: GREY for H×W; the order of the last axis for H×W×3. Decoded files are GREY or BGR.
        sha256: of the file's bytes as they were decoded; of an array as :func:`_array_sha256` says; None for a part
            of an image.
    """

    name: str
    pixels: Pixels
    order: ColourOrder
    sha256: str | None = None


def read(
    source: Source, *, order: ColourOrder = ColourOrder.RGB, min_side_px: int = 1, name: str | None = None
) -> DecodedImage:
    """Read one image.

    Args:
        source: a path, the bytes of a whole file, or an array of uint8 or uint16 (H×W, H×W×1, H×W×3).
        order: channel order of an *array* with three channels; files know their own.
        min_side_px: images with a shorter side are refused.
        name: what error messages call it; by default the path.

    Returns:
        The image; grey stays grey and 16 bits stay 16 bits. An array may share memory with ``source``.

    Raises:
        ImageNotFoundError: ``image_not_found``, ``image_is_directory`` or ``image_not_regular``.
        ImageUnreadableError: ``image_permission``, ``image_empty``, ``image_truncated``,
            ``image_damaged`` or ``image_format``.
        ImageUnsupportedError: ``image_format``, ``image_depth``, ``image_alpha``, ``image_palette``,
            ``image_cmyk``, ``image_orientation``, ``image_frames`` or ``image_array``.
        ImageSizeError: ``image_too_large`` or ``image_too_small``.
        MachineError: memory, descriptors or I/O failed; the image may be sound.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, order, min_side_px, name or "array")
    if isinstance(source, bytes):
        return _from_bytes(source, min_side_px, name or "bytes")
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return _from_bytes(_load(path, name or path), min_side_px, name or path)
    raise _array_error(name or "source", f"a {type(source).__name__}", "Pass a path, bytes or np.asarray(it)")


def source_name(source: object) -> str:
    """Return what :func:`read` calls a source without a name; also what is no image at all has one."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return "array" if isinstance(source, np.ndarray) else "bytes" if isinstance(source, bytes) else "source"


def _from_bytes(data: bytes, min_side_px: int, name: str) -> DecodedImage:
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(name, len(data))
    digest = hashlib.sha256(data).hexdigest()
    try:
        header = inspect(data, name)
        check(header, min_side_px, name)
        data = for_decoder(data, header)  # of the very bytes that were inspected and hashed
        pixels = decode(data, header, name)
    except ImageError as error:
        error.sha256 = digest
        raise
    except Exception as error:
        raise_machine_fault(error, name)
        raise
    return DecodedImage(name, pixels, ColourOrder.GREY if pixels.ndim == 2 else ColourOrder.BGR, digest)


def _from_array(array: npt.NDArray[Any], order: ColourOrder, min_side_px: int, name: str) -> DecodedImage:
    found = f"{array.dtype} of shape {array.shape}"
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise _array_error(name, found, "Scale it to 0..255 and convert it with astype(np.uint8)")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise _array_error(name, found, "Pass one image at a time, without alpha, channels last")
    if 0 in array.shape or (type(array) is not np.ndarray and hasattr(array, "mask")):
        raise _array_error(name, found + " without pixels or with a mask", "Pass every pixel of the image")
    colour = array.ndim == 3 and array.shape[2] == 3
    if colour and order is ColourOrder.GREY:
        raise _array_error(name, found + " called grey", "Pass order=RGB or BGR, whichever it is")
    check_size(array.shape[1], array.shape[0], min_side_px, name)
    pixels = array if colour else array.reshape(array.shape[:2])
    if not (pixels.flags.c_contiguous and pixels.dtype.isnative):
        pixels = np.ascontiguousarray(pixels, dtype=array.dtype.newbyteorder("="))
    return DecodedImage(name, pixels, order if colour else ColourOrder.GREY, _array_sha256(pixels))


def _array_sha256(pixels: Pixels) -> str:
    """Return the SHA-256 of type, shape and values: of ``uint8 50x50x3``, a newline, and the bytes in C order.

    The type is ``uint8`` or ``uint16`` (values little-endian), grey has two sides, whatever the array's own layout.
    """
    said = f"{pixels.dtype.name} {'x'.join(map(str, pixels.shape))}\n"
    found = hashlib.sha256(said.encode("ascii"))
    found.update(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).data)
    return found.hexdigest()


def _array_error(name: str, found: str, remedy: str) -> ImageUnsupportedError:
    expected = "a uint8 or uint16 array of shape HxW, HxWx1 or HxWx3"
    return ImageUnsupportedError(f"{name}: found {found}, expected {expected}. {remedy}.", code="image_array")


def _too_many_bytes(name: str, size: int) -> ImageSizeError:
    return ImageSizeError(
        f"{name}: found {size} bytes, expected at most {MAX_BYTES}. Export the region to classify as PNG.",
        code="image_too_large",
    )


def _load(path: str, name: str) -> bytes:
    """Read a regular file; the kind is asked first because opening a FIFO would wait for a writer."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageNotFoundError(
                f"{name}: found a directory, expected an image file. Name the files in it.",
                code="image_is_directory",
            )
        if not stat.S_ISREG(status.st_mode):
            raise ImageNotFoundError(
                f"{name}: found a device, pipe or socket, expected a regular file. Save the image to a file.",
                code="image_not_regular",
            )
        if status.st_size > MAX_BYTES:
            raise _too_many_bytes(name, status.st_size)
        with open(path, "rb") as file:
            data = file.read(status.st_size + 1)
    except (OSError, ValueError, MemoryError) as error:
        raise _load_error(error, name) from None
    if len(data) != status.st_size:
        raise ImageUnreadableError(
            f"{name}: found {len(data)} bytes, expected {status.st_size}: the file changed meanwhile. "
            "Wait until it is written.",
            code="image_truncated",
        )
    return data


def _load_error(error: OSError | ValueError | MemoryError, name: str) -> ImageError | MachineError:
    """Tell a fault of the path from a fault of the machine."""
    if fault := machine_error(error, name):
        return fault
    if isinstance(error, PermissionError):
        return ImageUnreadableError(
            f"{name}: found a file that may not be read, expected a readable one. Change its permissions.",
            code="image_permission",
        )
    reason = getattr(error, "strerror", None) or str(error)
    return ImageNotFoundError(f"{name}: found no file there ({reason}), expected an image. Check the path.")
