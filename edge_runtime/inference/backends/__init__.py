"""The interpreters, LiteRT and onnxruntime, behind one interface."""
