"""Read an image from a file, bytes or an array into a :class:`DecodedImage`.

Pixel values are never changed: colours, depth, orientation and size stay as stored. An image that a model cannot take
as stored is rejected with an error that names the cause.
"""

from __future__ import annotations

import os
import stat
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
from edge_runtime.images.content_hash import ContentHash, unchanging
from edge_runtime.images.formats import MAX_PIXELS, inspect
from edge_runtime.images.formats.acceptance import check, check_size
from edge_runtime.images.formats.decoding import Pixels, decode
from edge_runtime.images.formats.header import for_decoder
from edge_runtime.platform.machine_faults import machine_error, raise_machine_fault
from edge_runtime.platform.regular_files import READING
from edge_runtime.serialisation.frozen import dataclass

__all__ = ["MAX_BYTES", "MAX_PIXELS", "DecodedImage", "Source", "read", "source_name"]

MAX_BYTES = MAX_PIXELS * 6 + 1_000_000
"""Largest file in bytes: MAX_PIXELS of uncompressed 16-bit colour, plus one megabyte for headers and profiles."""

Source = str | os.PathLike[str] | bytes | npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image with its pixels as stored.

    Attributes:
        name: name in error messages.
        pixels: uint8 (0..255) or uint16 (0..65535), C-contiguous; H×W for grey, H×W×3 for colour.
        order: GREY for H×W; the order of the last axis for H×W×3. Decoded files are GREY or BGR.
        sha256: SHA-256 (hex) of the file's bytes or of the array; ``str`` computes it. None for a data set of pydicom.
    """

    name: str
    pixels: Pixels
    order: ColourOrder
    sha256: str | ContentHash | None = None

    def __init__(self, name: str, pixels: Pixels, order: ColourOrder, sha256: str | ContentHash | None = None) -> None:
        self.__dict__.update(name=name, pixels=pixels, order=order, sha256=sha256)

    def part(self, name: str, pixels: Pixels) -> DecodedImage:
        """Return a part of this image with a name of its own; the hash stays that of the whole."""
        return DecodedImage(name, pixels, self.order, self.sha256)


def read(
    source: Source, *, order: ColourOrder = ColourOrder.RGB, min_side_px: int = 1, name: str | None = None
) -> DecodedImage:
    """Read one image.

    Args:
        source: a path, the bytes of a whole file, or an array of uint8 or uint16 (H×W, H×W×1, H×W×3).
        order: channel order of an *array* with three channels; ignored for files and bytes.
        min_side_px: images with a shorter side are rejected.
        name: name in error messages; by default the path.

    Returns:
        The image, with its stored channels and bit depth. The pixels of an array are a copy; they may share
        memory with ``source`` if it is read-only, or larger than :data:`edge_runtime.images.content_hash.MOST_BYTES`.

    Raises:
        ImageNotFoundError: ``image_not_found``, ``image_is_directory`` or ``image_not_regular``.
        ImageUnreadableError: ``image_permission``, ``image_empty``, ``image_truncated``,
            ``image_damaged`` or ``image_format``.
        ImageUnsupportedError: ``image_format``, ``image_depth``, ``image_alpha``, ``image_palette``,
            ``image_cmyk``, ``image_orientation``, ``image_frames`` or ``image_array``.
        ImageSizeError: ``image_too_large`` or ``image_too_small``.
        MachineError: memory, file descriptors or I/O failed; the image may be valid.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, order, min_side_px, name or "array")
    if isinstance(source, bytes):
        return _from_bytes(source, min_side_px, name or "bytes")
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return _from_bytes(load_file(path, name or path), min_side_px, name or path)
    raise _array_error(name or "source", f"a {type(source).__name__}", "Pass a path, bytes or a NumPy array")


def source_name(source: object) -> str:
    """Return the default name that :func:`read` gives a source; objects that are no source are named too."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, np.ndarray | bytes):
        return "array" if isinstance(source, np.ndarray) else "bytes"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "source"


def _from_bytes(data: bytes, min_side_px: int, name: str) -> DecodedImage:
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(name, len(data))
    hashed = ContentHash(data)
    try:
        header = inspect(data, name)
        check(header, min_side_px, name)
        data = for_decoder(data, header)  # parts of the same bytes that are inspected and hashed
        pixels = decode(data, header, name)
    except ImageError as error:
        error.sha256 = str(hashed)
        raise
    except Exception as error:
        raise_machine_fault(error, name)
        raise
    return DecodedImage(name, pixels, ColourOrder.GREY if pixels.ndim == 2 else ColourOrder.BGR, hashed)


def _from_array(array: npt.NDArray[Any], order: ColourOrder, min_side_px: int, name: str) -> DecodedImage:
    dtype, shape = array.dtype, array.shape
    if dtype.kind != "u" or dtype.itemsize > 2:
        raise _of_array(array, name, "", "Scale it to 0..255 and convert it with astype(np.uint8)")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)):
        raise _of_array(array, name, "", "Pass one image at a time, without alpha, channels last")
    if 0 in shape or (type(array) is not np.ndarray and hasattr(array, "mask")):
        raise _of_array(array, name, " without pixels or with a mask", "Pass every pixel of the image")
    colour = len(shape) == 3 and shape[2] == 3
    if colour and order is ColourOrder.GREY:
        raise _of_array(array, name, " with order GREY", "Pass order=ColourOrder.RGB or ColourOrder.BGR")
    check_size(shape[1], shape[0], min_side_px, name)
    pixels = array if colour else array.reshape(shape[:2])
    if pixels.flags.c_contiguous and dtype.isnative:
        pixels = unchanging(pixels)
    else:
        pixels = np.ascontiguousarray(pixels, dtype=dtype.newbyteorder("="))
    return DecodedImage(name, pixels, order if colour else ColourOrder.GREY, ContentHash(pixels))


def _of_array(array: npt.NDArray[Any], name: str, more: str, remedy: str) -> ImageUnsupportedError:
    return _array_error(name, f"{array.dtype} of shape {array.shape}{more}", remedy)


def _array_error(name: str, found: str, remedy: str) -> ImageUnsupportedError:
    expected = "a uint8 or uint16 array of shape HxW, HxWx1 or HxWx3"
    return ImageUnsupportedError(f"{name}: found {found}, expected {expected}. {remedy}.", code="image_array")


def _too_many_bytes(name: str, size: int) -> ImageSizeError:
    return ImageSizeError(
        f"{name}: found {size} bytes, expected at most {MAX_BYTES}. Export the region to classify as PNG.",
        code="image_too_large",
    )


def load_file(path: str, name: str) -> bytes:
    """Return the bytes of a regular file. The file type is checked first, as opening a FIFO waits for a writer."""
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
        data = _bytes_of(path, status.st_size)
    except (OSError, ValueError, MemoryError) as error:
        raise load_error(error, name) from None
    if len(data) != status.st_size:
        raise ImageUnreadableError(
            f"{name}: found {len(data)} bytes, expected {status.st_size}: the file changed while it was read. "
            "Wait until it is complete.",
            code="image_truncated",
        )
    return data


def _bytes_of(path: str, size: int) -> bytes:
    """Return the bytes of a file, at most ``size`` + 1, without the cost of Python's file objects."""
    descriptor = os.open(path, READING)
    try:
        data = os.read(descriptor, size + 1)
        while len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)


def load_error(error: OSError | ValueError | MemoryError, name: str) -> ImageError | MachineError:
    """Return the error for a file that cannot be read: a MachineError if the machine is at fault."""
    if fault := machine_error(error, name):
        return fault
    if isinstance(error, PermissionError):
        return ImageUnreadableError(
            f"{name}: found a file without read permission, expected a readable one. Change its permissions.",
            code="image_permission",
        )
    reason = getattr(error, "strerror", None) or str(error)
    return ImageNotFoundError(f"{name}: found no file there ({reason}), expected an image. Check the path.")
