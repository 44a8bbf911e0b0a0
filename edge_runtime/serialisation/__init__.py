"""Read and write frozen dataclasses as strict JSON, and arrays as npz, without executing code from a file."""
