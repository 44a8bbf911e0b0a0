"""Which of the installed and shipped models accept a kind of DICOM object."""

from __future__ import annotations

from contextlib import suppress

from edge_runtime.bundle.bundle import find_files, shipped
from edge_runtime.bundle.registry.pointers import installed
from edge_runtime.errors import EdgeError


def models_that_accept(class_uid: str) -> tuple[str, ...]:
    """Return the names of models whose spec accepts objects of a SOP class, sorted.

    Models that do not open are left out.
    """
    names: set[str] = set(shipped())
    with suppress(EdgeError):
        names |= {each.name for each in installed()}
    return tuple(sorted(name for name in names if _accepts(name, class_uid)))


def _accepts(name: str, class_uid: str) -> bool:
    try:
        stated = find_files(name).manifest.spec.dicom
    except EdgeError:
        return False
    return stated is not None and stated.accepts(class_uid)
