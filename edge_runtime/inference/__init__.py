"""Inference on one image: preprocess, run the network, decide. Also the interpreter backends."""
