"""What is exported: a saved network cut before its scores, the spec that fits it, the images of its ranges."""
