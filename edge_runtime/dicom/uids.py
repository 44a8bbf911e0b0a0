"""UIDs of reports and heatmaps: the same source, model and outcome always give the same UID.

A study that is sent again therefore yields the same instances, and an archive keeps one of each. A UID is ``2.25.`` and
the decimal form of a UUID (PS3.5, B.2). The UUID is version 8 of RFC 9562: 122 bits of a SHA-256.
"""

from __future__ import annotations

import enum
import hashlib
import uuid
from collections.abc import Iterable

_ROOT = "2.25."


class Kind(enum.Enum):
    """What a UID is for."""

    REPORT = "report"
    REPORT_SERIES = "report-series"
    HEATMAP = "heatmap"
    HEATMAP_SERIES = "heatmap-series"
    DEVICE = "device"
    TRACKING = "tracking"


def derived_uid(kind: Kind, parts: Iterable[str | int | None]) -> str:
    """Return the UID that follows from ``kind`` and ``parts``.

    Args:
        kind: what the UID is for.
        parts: what it depends on, such as the source's UID, frame, model, version and contract.

    Returns:
        At most 44 characters; a UID may have 64.
    """
    text = "\x1f".join(("edge-predict", kind.value, *("" if part is None else str(part) for part in parts)))
    digest = bytearray(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16])
    digest[6] = 0x80 | digest[6] & 0x0F  # version 8: made up by the application
    digest[8] = 0x80 | digest[8] & 0x3F  # variant of RFC 9562
    return f"{_ROOT}{uuid.UUID(bytes=bytes(digest)).int}"
