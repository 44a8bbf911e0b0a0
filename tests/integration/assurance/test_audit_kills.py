"""Processes that append to one audit log are killed at random: the chain holds, and no acknowledged entry is lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from edge_runtime.assurance.audit.entry import SealedEntry
from edge_runtime.assurance.audit.log import AuditLog
from edge_runtime.assurance.audit.verification import files_of, verify
from tests.places import ROOT
from tests.unit.assurance.audit.made import counted

KILLS = int(os.environ.get("EDGE_AUDIT_KILLS", "40"))
"""Kills; 1,000 before a release."""
WRITERS = 4
ROTATE_BYTES = 20_000


def writer(log: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.integration.assurance.audit_writer", str(log), str(ROTATE_BYTES)]
    with out.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=file)


def acknowledged(out: Path) -> list[str]:
    """The hashes on the whole lines of a writer's output."""
    data = out.read_bytes() if out.exists() else b""
    return [line.split()[1].decode() for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


def test_writers_that_are_killed_lose_no_acknowledged_entry(tmp_path: Path) -> None:
    log, draw = tmp_path / "audit.jsonl", random.Random(25)
    outs = [tmp_path / f"out-{number}" for number in range(WRITERS)]
    writers = [writer(log, out) for out in outs]
    try:
        for out in outs:
            end = time.monotonic() + 60
            while not acknowledged(out) and time.monotonic() < end:
                time.sleep(0.01)
        for _ in range(KILLS):
            time.sleep(draw.uniform(0.0, 0.15))
            victim = draw.randrange(WRITERS)
            writers[victim].kill()
            writers[victim].wait()
            if draw.random() < 0.3:  # what a power cut leaves of a line that nobody acknowledged
                with AuditLog(log)._locked(), log.open("ab") as file:
                    file.write(b'{"audit":"edge-audit/1","boot":"5' if draw.random() < 0.5 else b"\0" * 300)
            writers[victim] = writer(log, outs[victim])
    finally:
        for process in writers:
            process.kill()
            process.wait()
    AuditLog(log).append([counted()])
    there: dict[str, SealedEntry] = {}
    found = verify(files_of(log), take=lambda sealed: there.setdefault(sealed.hash, sealed))
    said = [each for out in outs for each in acknowledged(out)]
    print(f"{len(said)} acknowledged, {found.entries} entries, {len(found.notes)} notes, {len(files_of(log))} files")
    assert found.holds, [str(fault) for fault in found.faults]
    assert len(said) > KILLS
    assert not set(said) - there.keys()
    assert [sealed.entry.number for sealed in there.values()] == list(range(1, found.entries + 1))
