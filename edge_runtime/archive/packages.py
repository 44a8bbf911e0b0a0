"""The packages of the extras ``archive``, ``ray`` and ``dask``, imported when they are first needed."""

from __future__ import annotations

import importlib
from typing import Any

from edge_runtime.errors import ArchiveError


def require(module: str, extra: str = "archive") -> Any:
    """Import and return a module of an optional package.

    Raises:
        ArchiveError: ``archive_package_missing``: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ArchiveError(
            f'found no package {error.name}, which archives need. Install it with: pip install "edge-predict[{extra}]"',
            code="archive_package_missing",
        ) from None
