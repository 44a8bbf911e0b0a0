"""Bundles: find, check and read models on disk."""
