"""Heatmaps on the Keras side: where a network's features end and its head begins, and TensorFlow's own Grad-CAM."""
