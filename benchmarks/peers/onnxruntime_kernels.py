"""onnxruntime on a drawn tensor, as this package opens an int8 file or with onnxruntime's own settings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime

from benchmarks.task import Item, Task

CALLS = 20
"""Runs of one item, so that a turn is long beside the clock's grain."""


def open_peer(task: Task) -> Callable[[Item], None]:
    """Return a function that runs the network; the option ``precise`` is 1 for kernels that do not saturate."""
    session = opened(task.model, task.options["precise"])
    given = session.get_inputs()[0]
    tensor = np.random.default_rng(0).uniform(0, 1, (1, *given.shape[1:])).astype(np.float32)

    def call(item: Item) -> None:
        for _ in range(CALLS):
            session.run(None, {given.name: tensor})

    return call


def opened(model: str, precise: str) -> onnxruntime.InferenceSession:
    """Open a file as the package does, with or without kernels that do not saturate."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", precise)
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=["WeightBiasQuantization"]
    )
