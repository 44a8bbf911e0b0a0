"""Fit Keras models on published images, and measure them."""

import os

# Keras reads its backend once, at import. The default is TensorFlow; every other Keras 3 backend works too.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
