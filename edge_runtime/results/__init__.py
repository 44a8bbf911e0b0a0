"""The results file: one JSON line a picture, each whole or absent."""
