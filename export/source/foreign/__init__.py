"""ONNX and TFLite classifiers made elsewhere: read, brought into the form that devices take, and run as given."""
