"""Convert Keras models to TFLite and ONNX, and change and measure these files; one module per format and task."""
