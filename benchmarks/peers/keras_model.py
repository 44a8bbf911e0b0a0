"""The Keras model that was exported, called directly as its guide advises for single images, traced by tf.function."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.steps import levels_of, prepared
from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of an item: the index of the likeliest label."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model, levels = keras.models.load_model(task.model, compile=False), levels_of(task.network)
    run = tf.function(lambda tensor: model(tensor, training=False))

    def call(item: Item) -> int:
        scores = run(tf.constant(prepared(levels(item)))).numpy()
        return int(scores.argmax()) if scores.size > 1 else int(scores.ravel()[0] > 0.5)

    return call
