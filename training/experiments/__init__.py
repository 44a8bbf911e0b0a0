"""Fits made to learn something about data and split, not to ship: folds, and the leak."""
