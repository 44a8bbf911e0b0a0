"""A hand-written loop around OpenVINO, with the hint for latency that its guide gives for one request at a time."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.steps import levels_of, positive, prepared
from benchmarks.task import Item, Task

SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1"}


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of an item: the index of the likeliest label."""
    import openvino

    levels, core = levels_of(task.network), openvino.Core()
    model = core.read_model(task.model)
    shape = model.inputs[0].partial_shape
    shape[0] = 1
    model.reshape({model.inputs[0]: shape})
    request = core.compile_model(model, "CPU", SETTINGS).create_infer_request()

    def call(item: Item) -> int:
        request.infer([prepared(levels(item))], share_inputs=True)
        return positive(request.get_output_tensor(0).data)

    return call
