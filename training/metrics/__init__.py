"""Metrics of predictions on labelled images, with 95 % intervals by bootstrap over groups."""
