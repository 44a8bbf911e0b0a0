"""What the server imports that conversions are forked from; see :mod:`export.converters.isolation`.

It imports and computes nothing: the only threads that are alive when it forks are OpenBLAS's, which expect it.
What was imported is frozen: the garbage collector of a forked process would visit TensorFlow's million objects in every
full collection, of which a conversion to ONNX makes 24, and copy their pages to do so.
"""

import contextlib
import gc
import os
from collections.abc import Iterator


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep what C++ libraries print at import off the caller's standard streams."""
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, nowhere):
            os.close(descriptor)


with _silenced():
    import keras  # noqa: F401
    import onnxruntime  # noqa: F401
    import tensorflow  # noqa: F401
    import tf2onnx  # noqa: F401

gc.collect()
gc.freeze()
