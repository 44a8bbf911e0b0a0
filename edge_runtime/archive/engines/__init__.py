"""Engines: they call a task for each item in other processes, here or on a cluster."""

from __future__ import annotations

import enum

from edge_runtime.archive.engines.engine import TaskEngine
from edge_runtime.inference.ordered_map import cores


class EngineKind(enum.Enum):
    """The engines."""

    LOCAL = "local"
    RAY = "ray"
    DASK = "dask"


def open_engine(kind: EngineKind, workers: int | None = None, address: str | None = None) -> TaskEngine:
    """Return an engine; nothing is started before its first task.

    Args:
        workers: number of worker processes on this machine; by default one for each core.
        address: address of a running cluster, whose workers are used instead.

    Raises:
        ArchiveError: ``archive_package_missing``: the engine is not installed; ``usage``: an address is given for the
            local engine.
    """
    from edge_runtime.archive.engines.dask_engine import DaskEngine
    from edge_runtime.archive.engines.local_engine import LocalEngine
    from edge_runtime.archive.engines.ray_engine import RayEngine

    if kind is EngineKind.LOCAL:
        return LocalEngine(workers or cores())
    return (RayEngine if kind is EngineKind.RAY else DaskEngine)(workers or cores(), address)
