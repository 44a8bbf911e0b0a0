"""How an instance that this package made is recognised: a report or a heatmap is nothing to classify, and no mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

MANUFACTURER = "edge-predict"
"""Manufacturer (0008,0070) of every instance that this package makes."""

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
_KINDS = {SECONDARY_CAPTURE: "a heatmap of edge-predict", COMPREHENSIVE_3D_SR: "a report of edge-predict"}


def own_result(dataset: Dataset) -> str | None:
    """Return what an instance of this package is, in words; None for any other. Use it inside ``silent``."""
    if str(dataset.get("Manufacturer", "")).strip() != MANUFACTURER:
        return None
    return _KINDS.get(str(dataset.get("SOPClassUID", "")))
