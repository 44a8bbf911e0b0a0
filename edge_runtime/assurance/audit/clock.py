"""The clock of an entry, and jumps of it: the time since the machine's start, which no setting of the clock changes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_runtime.inference.prediction import now

JUMP_MS = 2000
"""Smallest jump that is noted. Between two entries, a clock that is disciplined by NTP differs by less."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ClockReading:
    """The clock now; the attributes are those of :class:`edge_runtime.assurance.audit.entry.AuditEntry`."""

    time: str
    boot: str | None
    boot_ms: int | None

    @classmethod
    def now(cls) -> ClockReading:
        """Read the clocks. The time since the start includes the time that the machine slept."""
        try:
            boot = _BOOT.read_text(encoding="ascii").replace("-", "")[:16]
            since = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        except (OSError, AttributeError, ValueError):  # not Linux
            return cls(now(), None, None)
        return cls(now(), boot, since)

    def jump_ms(self, before: ClockReading) -> int | None:
        """Return by how much the clock was set between two readings; None if by little, or if nothing tells.

        In one start of the machine, both directions are found; across two, only a clock that went back.
        """
        passed = milliseconds(self.time) - milliseconds(before.time)
        if self.boot is not None and self.boot == before.boot and None not in (self.boot_ms, before.boot_ms):
            jump = passed - ((self.boot_ms or 0) - (before.boot_ms or 0))
            return jump if abs(jump) > JUMP_MS else None
        return passed if passed < -JUMP_MS else None


def milliseconds(moment: str) -> int:
    """Return milliseconds since 1970 of a time as in entries.

    Raises:
        ValueError: the text is no such time.
    """
    parsed = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z")
    return round(parsed.timestamp() * 1000)
