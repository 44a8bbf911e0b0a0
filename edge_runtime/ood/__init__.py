"""Whether an image is of the kind that a model was made for."""
