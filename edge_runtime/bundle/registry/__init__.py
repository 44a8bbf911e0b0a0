"""Bundles installed on this device: their folders, and how they are installed, rolled back and removed."""
