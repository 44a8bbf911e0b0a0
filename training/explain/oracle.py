"""Reference heatmaps by TensorFlow's automatic differentiation; the device's heatmaps are compared with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import Head

Floats = npt.NDArray[np.float32]

_BATCH = 16


def grad_cam(network: Any, features: Any, tensors: Floats, labels: npt.NDArray[np.int64], head: Head) -> Floats:
    """Return Grad-CAM by ``tf.GradientTape`` (Selvaraju et al. 2017, ICCV 618, equations 1 and 2).

    Args:
        network: Keras model that ends in its logits.
        features: the symbolic tensor of its last feature map.
        tensors: float32 N×H×W×C.
        labels: int64 N, the label that each map explains.

    Returns:
        float32 N×h×w, 0 or more, on the scale of logits.
    """
    import keras
    import tensorflow as tf

    both = keras.Model(network.inputs[0], [network.outputs[0], features])
    maps = []
    for start in range(0, len(tensors), _BATCH):
        image = tf.convert_to_tensor(tensors[start : start + _BATCH])
        with tf.GradientTape() as tape:
            tape.watch(image)  # without this the tape records nothing of a frozen network
            logits, activations = both(image, training=False)
            target = tf.reduce_sum(_target(logits, labels[start : start + _BATCH], head))
        gradient = tape.gradient(target, activations)
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        maps.append(tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)).numpy())
    return np.concatenate(maps)


def eigen_cam(network: Any, features: Any, tensors: Floats) -> Floats:
    """Return Eigen-CAM by a full singular value decomposition (Muhammad & Yeasin 2020, IJCNN).

    Returns:
        float32 N×h×w, 0 or more: the feature map projected on its first right singular vector. The vector's sign is
        chosen so that the projection's sum is not negative.
    """
    import keras

    both = keras.Model(network.inputs[0], features)
    maps = []
    for feature_map in np.asarray(both.predict(tensors, batch_size=_BATCH, verbose=0), dtype=np.float64):
        rows = feature_map.reshape(-1, feature_map.shape[-1])
        first = np.linalg.svd(rows, full_matrices=False)[2][0]
        projection = (rows @ first).reshape(feature_map.shape[:2])
        maps.append(np.maximum(projection if projection.sum() >= 0 else -projection, 0.0))
    return np.stack(maps).astype(np.float32)


def attention(network: Any, grid: tuple[int, ...], tensors: Floats) -> Floats:
    """Return the values of the network's own softmax over positions, float32 N×h×w, each map with sum 1."""
    import keras

    from training.networks.lesion_attention import ATTENTION

    weights = keras.Model(network.inputs[0], network.get_layer(ATTENTION).output)
    found = np.asarray(weights.predict(tensors, batch_size=_BATCH, verbose=0), dtype=np.float32)
    return found.reshape(len(tensors), *grid[:2])


def _target(logits: Any, labels: npt.NDArray[np.int64], head: Head) -> Any:
    """Return the logit of each image's label; for a single sigmoid, label 0 has the negated logit."""
    import tensorflow as tf

    if head is Head.SIGMOID:
        return logits[:, 0] * np.where(labels == 1, 1.0, -1.0).astype(np.float32)
    return tf.gather(logits, labels, axis=1, batch_dims=1)
