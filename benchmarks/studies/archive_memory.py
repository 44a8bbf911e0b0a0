"""Memory of the commands of an archive, by the number of planned records.

    python -m benchmarks archive-memory [--records 1000 --records 1000000]

It plans lists of paths that do not exist, so that each image costs little, and prints the largest resident size of
``plan``, of the driver of ``run`` (its workers not included), of ``status`` and of ``merge``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click


def peak_mb(*arguments: object) -> float:
    """Run the command; return the largest resident size of its own process in MB."""
    script = (
        "import resource, sys\nfrom edge_runtime.cli.predict import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return float(done.stderr.split()[-1])


def memory(sizes: Sequence[int]) -> None:
    """Print the largest resident sizes."""
    print(f"{'records':>10} {'plan':>7} {'run':>7} {'status':>7} {'merge':>7}  MB")
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            archive, listed = Path(scratch) / "a", Path(scratch) / "list.txt"
            with listed.open("w", encoding="utf-8") as file:
                file.writelines(f"/nowhere/{number // 1000:06}/{number:09}.png\n" for number in range(size))
            steps = (
                ("archive", "plan", listed, "--out", archive),
                ("archive", "run", archive, "--workers", 2),
                ("archive", "status", archive),
                ("archive", "merge", archive, "--out", Path(scratch) / "all.parquet"),
            )
            peaks = [peak_mb(*step) for step in steps]
        print(f"{size:10} " + " ".join(f"{peak:7.0f}" for peak in peaks), flush=True)


@click.command()
@click.option("--records", type=click.IntRange(1), multiple=True, default=(1_000, 10_000, 100_000, 1_000_000))
def archive_memory(records: tuple[int, ...]) -> None:
    """Print the largest resident size of plan, run, status and merge, by number of records."""
    memory(records)
