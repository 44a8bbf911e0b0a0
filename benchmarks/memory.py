"""The largest resident memory of a process, as Linux counts it since the process's own start."""

from __future__ import annotations


def peak_mb(process: int | str = "self") -> float:
    """Return it in MB of 10^6 bytes; 0 where the system does not tell it."""
    try:
        with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as status:
            (line,) = (line for line in status if line.startswith("VmHWM"))
    except OSError:
        return 0.0
    return int(line.split()[1]) * 1024 / 1e6
