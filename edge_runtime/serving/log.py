"""The service's log: one JSON object per line on stderr. No file name, no content of an image, no patient data."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from edge_runtime.inference.prediction import now

Value = str | int | float | bool | None


def log(event: str, **fields: Value) -> None:
    """Write one line. Callers pass names of models, codes, numbers and hashes of bundles alone."""
    with suppress(OSError, ValueError):  # a closed stderr does not stop the service
        sys.stderr.write(json.dumps({"time": now(), "event": event, **fields}) + "\n")  # one write: lines stay whole
        sys.stderr.flush()
