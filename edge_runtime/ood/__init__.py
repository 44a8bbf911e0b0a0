"""Whether a picture is of the kind that a model was made for."""
