"""A process that appends to an audit log, and acknowledges each entry on stdout after it is on the disk."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

from edge_runtime.assurance.audit.log import AuditLog
from tests.unit.assurance.audit.made import counted

if __name__ == "__main__":
    log = AuditLog(Path(sys.argv[1]), rotate_bytes=int(sys.argv[2]))
    for number in count(1):
        head = log.append([counted(number)] * (1 + number % 3))
        os.write(1, f"{head.number} {head.hash}\n".encode("ascii"))
