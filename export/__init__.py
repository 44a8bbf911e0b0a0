"""From a Keras model to a bundle that proves itself."""

from edge_runtime.backends.ort import silence

silence()  # onnxruntime's quantiser opens sessions, too
