"""Start programs and report what each took; kept small, because Linux counts a parent's memory as its child's.

    python -S -m benchmarks.spawner

Each line on stdin is a command as JSON; each line on stdout is wall seconds, processor seconds with those of its own
children, peak memory in MB of 10^6 bytes, and the exit status.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Start one program after the other until stdin ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for line in sys.stdin:
        command = json.loads(line)
        began = time.perf_counter()
        streams = [(os.POSIX_SPAWN_DUP2, nowhere, 1), (os.POSIX_SPAWN_DUP2, nowhere, 2)]
        process = os.posix_spawnp(command[0], command, os.environ, file_actions=streams)
        _, status, used = os.wait4(process, 0)
        wall = time.perf_counter() - began
        row = [wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, os.waitstatus_to_exitcode(status)]
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
