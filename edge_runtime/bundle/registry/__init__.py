"""Bundles that were installed on this device: where they lie, and how they change."""
