"""JSON lines without what differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from edge_runtime.archive.merging import lines
from edge_runtime.archive.plan import Archive, open_archive
from edge_runtime.archive.scoring import score_shard
from edge_runtime.results.lines import is_whole


def untimed(found: Iterable[str]) -> list[str]:
    """Lines without times and without the checksum over them; each checksum is verified."""
    kept = []
    for line in found:
        assert is_whole(line.encode("ascii"))
        fields = json.loads(line)
        for key in ("time", "check", "ms"):
            fields.pop(key, None)
        kept.append(json.dumps(fields))
    return kept


def score_all(archive: Archive) -> list[str]:
    """Score every shard here, and return the lines of all."""
    for shard in range(archive.plan.shards):
        score_shard(str(archive.folder), shard)
    return untimed(lines(archive))


def reopened(folder: Path) -> Archive:
    return open_archive(folder)
