"""LiteRT's interpreter as a function, for loops written by hand; it imports nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from benchmarks.peers.steps import Floats


def open_model(path: str) -> Callable[[Floats], Floats]:
    """Return a function from the input, float32, to the logits; the file may take float32 or int8."""
    model = Interpreter(model_path=path, num_threads=1)
    model.allocate_tensors()
    given, out = model.get_input_details()[0], model.get_output_details()[0]
    scale, zero = given["quantization"]
    out_scale, out_zero = out["quantization"]

    def run(tensor: Any) -> Any:
        if scale:  # 0 where the file takes float32
            tensor = np.clip(np.rint(tensor / scale) + zero, -128, 127).astype(np.int8)
        model.set_tensor(given["index"], tensor)
        model.invoke()
        logits = model.get_tensor(out["index"])
        return (logits.astype(np.float32) - out_zero) * out_scale if out_scale else logits

    return run
