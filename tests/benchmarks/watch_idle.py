"""What one look of ``--watch`` costs while nothing comes, beside a plain loop of scandir and stat, in turns.

    python tests/benchmarks/watch_idle.py [--count 20000] [--folders 20] [--rounds 15] [--disk FOLDER]

Processor time, user and system; every file was answered. The loop lists every folder and stats every file, which
nothing can do without that notices a file that was written again in place: that does not change its folder's times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edge_runtime.results.watcher import Watch


class Answered:
    """A memory in which every image is."""

    def __contains__(self, identity: object) -> bool:
        return True


def plain(folder: str) -> int:
    """List and stat everything below a folder; return how many files there are."""
    count, places = 0, [folder]
    while places:
        with os.scandir(places.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    places.append(entry.path)
                else:
                    entry.stat()
                    count += 1
    return count


def processor_ms(call: Callable[[], object]) -> float:
    """Return milliseconds of processor time."""
    start = time.process_time_ns()
    call()
    return (time.process_time_ns() - start) / 1e6


def main() -> None:
    """Print both times and their ratio, median and range over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--folders", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--disk", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.disk) as scratch:
        for number in range(chosen.count):
            folder = Path(scratch) / f"{number % chosen.folders:03}"
            folder.mkdir(exist_ok=True)
            (folder / f"image-{number:06}.png").write_bytes(b"x")
        watch, known = Watch(Path(scratch)), Answered()
        first = processor_ms(lambda: watch.look(known))
        assert plain(scratch) == chosen.count
        rows = [
            (processor_ms(lambda: watch.look(known)), processor_ms(lambda: plain(scratch)))
            for _ in range(chosen.rounds)
        ]
    ratios = sorted(look / loop for look, loop in rows)
    print(f"{chosen.count} images in {chosen.folders} folders; the first look {first:.1f} ms")
    print(f"look   {statistics.median(row[0] for row in rows):6.1f} ms of processor time (median of {len(rows)})")
    print(f"loop   {statistics.median(row[1] for row in rows):6.1f} ms")
    print(f"ratio  {statistics.median(ratios):6.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
