"""The results file: one JSON line an image, each whole or absent."""
