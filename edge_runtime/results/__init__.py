"""The results file: one JSON line per image. A line is either complete or absent."""
