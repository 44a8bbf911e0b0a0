"""Drift: whether a site's answers moved away from a reference, since when, and how sure that is."""
