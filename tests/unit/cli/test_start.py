"""The start of a command: no garbage collection while it imports, and a collector that works afterwards."""

from __future__ import annotations

import json
import subprocess
import sys

STARTED = """
import gc, json, sys
from edge_runtime.cli.start import run
early = []
gc.callbacks.append(lambda phase, info: None if gc.get_freeze_count() else early.append(phase))
sys.argv = ["edge-predict", "--version"]
try:
    run()
except SystemExit:
    print(json.dumps([early, gc.isenabled(), gc.get_freeze_count()]))
"""


def test_nothing_is_collected_before_the_imports_are_done_and_frozen() -> None:
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True)
    early, is_enabled, frozen = json.loads(done.stdout.splitlines()[-1])
    assert early == [] and is_enabled and frozen > 10_000
