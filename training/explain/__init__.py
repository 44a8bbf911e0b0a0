"""Heatmaps of Keras models: split a network into features and head, and compute Grad-CAM with TensorFlow."""
