"""Compare time, size and memory of a bundle's model files in one run."""
