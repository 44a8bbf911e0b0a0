"""Parse a DICOM file that was judged, without a word on stderr or in a log.

pydicom's warnings quote values of the data set, such as a birth date. They are caught here and dropped.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from io import BytesIO
from types import NoneType
from typing import TYPE_CHECKING, Any

from edge_runtime.dicom.guard import MOST_BYTES, Judged, judge, too_large
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.errors import DicomError, EdgeError
from edge_runtime.platform.fork_safety import ForkSafeLock
from edge_runtime.platform.machine_faults import raise_machine_fault

if TYPE_CHECKING:
    from pydicom import Dataset


def read_dataset(source: str | os.PathLike[str] | bytes, name: str | None = None) -> Dataset:
    """Read one DICOM file.

    Args:
        source: a path, or the bytes of a whole file.
        name: name in errors; by default the path.

    Returns:
        The data set, with ``file_meta``. Values are parsed when they are first used: use them inside :func:`silent`.

    Raises:
        DicomError: the file is refused (:func:`edge_runtime.dicom.guard.judge`), or ``dicom_not_installed``.
        ImageNotFoundError, ImageUnreadableError, MachineError: the file cannot be read.
    """
    shown = name or (os.fspath(source) if not isinstance(source, bytes) else "bytes")
    require_pydicom(shown)
    return parse(judge(source if isinstance(source, bytes) else load(source, shown), shown), shown)


def load(path: str | os.PathLike[str], name: str) -> bytes:
    """Return the bytes of a file that is not too large."""
    from edge_runtime.images.reader import load_file

    try:
        size = os.stat(path).st_size
    except (OSError, ValueError):
        size = 0  # load_file says what is wrong
    if size > MOST_BYTES:
        raise too_large(name, f"{size} bytes")
    return load_file(os.fspath(path), name)


def parse(judged: Judged, name: str) -> Dataset:
    """Return the data set of a judged file."""
    from pydicom import dcmread

    with silent(name):
        dataset = dcmread(BytesIO(judged.data))
        dataset.file_meta.TransferSyntaxUID  # noqa: B018 - parsed here, so that a wrong value fails here
    return dataset


def require_pydicom(name: str) -> None:
    """Raise ``dicom_not_installed`` if pydicom is missing."""
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise DicomError(
            f"{name}: found a DICOM file, but the package pydicom is not installed. "
            'Run: pip install "edge-predict[dicom]"',
            code=Refusal.NOT_INSTALLED.code,
        ) from None


@contextmanager
def silent(name: str) -> Iterator[None]:
    """Drop pydicom's warnings, and raise ``dicom_damaged`` in place of any error that a value causes.

    A fault of the machine, such as too little memory, is raised as :class:`edge_runtime.errors.MachineError`.
    """
    with _QUIET:
        try:
            yield
        except EdgeError:
            raise
        except Exception as error:
            raise_machine_fault(error, name)
            expected = "one as PS3.5 says. Store the object again."
            found = f"a value that cannot be read ({type(error).__name__})"
            raise refused(Refusal.DAMAGED, name, found, expected) from None


class _Quiet:
    """Switches warnings and pydicom's log off while at least one thread is inside."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._inside = 0
        self._caught = warnings.catch_warnings()
        self._level = logging.NOTSET

    def __enter__(self) -> None:
        log = logging.getLogger("pydicom")
        with self._lock.held:
            if self._inside == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
                self._level = log.level
                log.setLevel(logging.CRITICAL + 1)  # its child loggers take the level over, and not ``disabled``
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock.held:
            self._inside -= 1
            if self._inside == 0:
                self._caught.__exit__(None, None, None)
                logging.getLogger("pydicom").setLevel(self._level)


_QUIET = _Quiet()


def value(dataset: Any, keyword: str) -> Any:
    """Return the value of an element; None if it is missing or empty. Use it inside :func:`silent`."""
    found = dataset.get(keyword)
    return None if found is None or (hasattr(found, "__len__") and len(found) == 0) else found


def text(dataset: Any, keyword: str) -> str:
    """Return an element's text, the first one of several; empty if it is missing."""
    found = _first(dataset, keyword)
    return "" if found is None else str(found).strip().rstrip("\0")


def number(dataset: Any, keyword: str) -> float | None:
    """Return an element's number, the first one of several; None if it is missing."""
    found = _first(dataset, keyword)
    return None if found is None else float(found)


def _first(dataset: Any, keyword: str) -> str | float | None:
    """Return the first value of an element. A VR that makes it bytes or a sequence is wrong, and raises ``TypeError``.

    The first character of a text is not its first value: the VR of a number may be that of a text.
    """
    found = value(dataset, keyword)
    if found is not None and not isinstance(found, (str, bytes)) and hasattr(found, "__getitem__"):
        found = found[0]
    if not isinstance(found, (str, int, float, Decimal, NoneType)):
        raise TypeError("expected a text or a number")
    return found  # type: ignore[return-value]
