"""Keras networks: backbones for recipes, weights rounded to the int8 grid, and loading of saved models."""
