"""Heatmaps: compute, report and draw the places in an image that a score comes from."""
