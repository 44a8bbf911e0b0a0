"""Slides: cut an image into tiles, classify them, map their scores and decide on the whole slide."""
