"""What is exported: a saved network cut before its scores, the spec that fits it, the pictures of its ranges."""
