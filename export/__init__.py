"""From a Keras model to a bundle that proves itself."""
