"""Fit a network, save checkpoints, resume, and write the training record."""
