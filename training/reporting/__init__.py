"""Writes reports: HTML pages, tables and images of the metrics."""
