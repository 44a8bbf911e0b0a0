"""A model on disk: found, checked and read."""
