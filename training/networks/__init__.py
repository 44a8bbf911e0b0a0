"""Keras networks: what recipes are built of, their weights on the grid of int8, and an artifact's network."""
