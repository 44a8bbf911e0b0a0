"""A hand-written loop around onnxruntime, with its default optimisations, one thread and no spinning."""

from __future__ import annotations

from collections.abc import Callable

import onnxruntime

from benchmarks.peers.steps import levels_of, positive, prepared
from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of an item: the index of the likeliest label."""
    levels, options = levels_of(task.network), onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(task.model, options, providers=["CPUExecutionProvider"])
    name, logits = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    return lambda item: positive(session.run(logits, {name: prepared(levels(item))})[0])
