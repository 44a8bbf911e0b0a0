"""A run as a file of pyperf, for ``python -m pyperf stats``, ``hist`` and ``check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyperf

from benchmarks.turns import Table


def write(tables: Sequence[Table], machine: Sequence[str], path: Path) -> None:
    """Write the processor times of every row, one run of pyperf for each round.

    pyperf adds no metadata of its own, which would name the machine.
    """
    found = []
    for table in tables:
        for row in table.rows:
            name = " / ".join(part for part in (table.case, table.network, row.name) if part)
            known = {"name": name, "unit": "second", "description": "; ".join(machine)}
            runs = [pyperf.Run([value], metadata=known, collect_metadata=False) for value in row.values_s]
            found.append(pyperf.Benchmark(runs))
    pyperf.BenchmarkSuite(found).dump(str(path), replace=True)
