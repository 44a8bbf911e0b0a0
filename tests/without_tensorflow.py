"""A pytest plugin: no training framework can be imported, as on a device. ``pytest -p tests.without_tensorflow``."""

import sys

for name in ("tensorflow", "keras", "tf2onnx"):
    sys.modules[name] = None  # type: ignore[assignment]
