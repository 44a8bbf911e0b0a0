"""Figures of answers to labelled images, with 95 % intervals by bootstrap over groups."""
