"""Backends: LiteRT, tflite-runtime and onnxruntime behind one interface."""
