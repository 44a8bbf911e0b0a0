"""Copies, contradictions and leaks in a data set."""
