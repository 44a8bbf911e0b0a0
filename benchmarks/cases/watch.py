"""One look of ``--watch`` while nothing comes, beside a plain directory scan."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.cases.measuring import measured
from benchmarks.contestant import Worker
from benchmarks.settings import Settings
from benchmarks.task import Task
from benchmarks.turns import Table

FOLDERS = 20


def watch(settings: Settings) -> Table:
    """Measure a look at :attr:`Settings.watched` files in :data:`FOLDERS` folders, all answered."""
    place = settings.scratch / "watched"
    for number in range(settings.watched):
        folder = place / f"{number % FOLDERS:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"image-{number:06}.png").write_bytes(b"x")
    options = {"folder": str(place)}
    with ExitStack() as stack:
        contestants = [
            Worker(name, Task(f"benchmarks.peers.{peer}", kind="none", options=options))
            for name, peer in (
                ("plain scan: scandir and stat", "directory_scan"),
                ("one look of --watch", "edge_watch"),
            )
        ]
        for each in contestants:
            stack.callback(each.close)
        case = f"`--watch` over {settings.watched} files"
        return measured(case, "", contestants, (), settings)
