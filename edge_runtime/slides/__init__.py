"""Whole slides: pyramids read tile by tile at a model's scale. The extra ``slides`` brings the readers."""
