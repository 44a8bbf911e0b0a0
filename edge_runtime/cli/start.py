"""The start of ``edge-predict`` as a program, without garbage collection."""

from __future__ import annotations

import gc


def run() -> None:
    """Run ``edge-predict`` as a program.

    Imports make many objects and hardly any garbage, so the collector waits until they are done. ``gc.freeze`` excludes
    the imported objects from later collections. Without it, the collection at exit takes longer than one prediction.
    """
    gc.disable()
    from edge_runtime.cli.predict import main  # imported here: this is what the collector waits for

    gc.freeze()
    gc.enable()
    main()
