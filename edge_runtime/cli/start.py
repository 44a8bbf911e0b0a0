"""The start and the end of ``edge-predict`` as a program, without work that no result needs."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading


def run() -> None:
    """Run ``edge-predict`` as a program, and end the process.

    Imports make many objects and hardly any garbage, so the collector waits until they are done. ``gc.freeze`` excludes
    the imported objects from later collections. Without it, the collection at exit takes longer than one prediction.
    """
    gc.disable()
    from edge_runtime.cli.predict import main  # imported here: this is what the collector waits for

    gc.freeze()
    gc.enable()
    try:
        main()
    except SystemExit as ended:
        _end(ended.code)
        raise


def _end(status: object) -> None:
    """End the process with its output written, but without freeing every object, which takes longer than a prediction.

    Return where the ordinary end is needed: a function is registered for it, another thread runs, the status is a
    message, or the output cannot be written, which the ordinary end reports.
    """
    registered = getattr(atexit, "_ncallbacks", None)  # of CPython; without it, something may be registered
    if registered is None or registered() or threading.active_count() > 1 or not isinstance(status, int):
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # no stream, a closed pipe, a full disk, a closed stream
        return
    os._exit(status)
