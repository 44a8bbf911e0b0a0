"""Heatmaps: compute, report and draw the places in an image that a score comes from."""

OPACITY = 0.45
"""Default share of the heatmap in a pixel's colour, 0..1; the rest is the image."""
