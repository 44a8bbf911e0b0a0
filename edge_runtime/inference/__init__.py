"""From an image to a prediction: preprocess, infer, decide; and the interpreters that do the second."""
