"""Validate a bundle against its network: parity, labelled images, golden vectors, heatmaps, and the parity page."""
