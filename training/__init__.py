"""From published images to a Keras model with its spec and its measured figures."""

import os

# Keras reads its backend once, at import. TensorFlow is the default; any other Keras 3 backend can fit.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
