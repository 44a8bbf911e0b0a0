"""Names of values in the ONNX graphs that export writes, and their operator set."""

OPSET = 17
INPUT, OUTPUT, MORE, BATCH = "image", "logits", "explains", "batch"
"""Names of the input, of the first output, of further outputs, and of the open batch size."""
