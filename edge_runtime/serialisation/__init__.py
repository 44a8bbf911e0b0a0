"""Frozen dataclasses as strict JSON, and arrays as npz, read so that nothing in a file can run."""
