"""Export: convert a Keras model to a bundle, with its parity figures and golden vectors."""

from edge_runtime.inference.backends.onnxruntime import silence

silence()  # onnxruntime's quantiser opens sessions too
