"""Fit a network, survive interruption, keep an account of it."""
