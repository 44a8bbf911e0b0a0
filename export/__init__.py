"""From a Keras model to a bundle that proves itself."""

from edge_runtime.inference.backends.onnxruntime import silence

silence()  # onnxruntime's quantiser opens sessions, too
