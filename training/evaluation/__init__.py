"""Measures predictions on held-out patients, and fits policy and out-of-distribution check."""
