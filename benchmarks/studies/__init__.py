"""Measurements behind single pages of the documentation, by hand; most print the table of that page."""
