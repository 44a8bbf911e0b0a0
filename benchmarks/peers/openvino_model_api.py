"""OpenVINO's Model API: its classification wrapper, with colour order, resizing and scaling inside the graph.

The wrapper has no head of one logit, so a zero is put before it: the softmax of both is the sigmoid of the logit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.peers.openvino_loop import SETTINGS
from benchmarks.peers.steps import decoded
from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of an item: the index of the likeliest label. The network takes three channels."""
    import openvino
    from model_api.adapters import OpenvinoAdapter
    from model_api.models import ClassificationModel

    core, scratch = openvino.Core(), tempfile.TemporaryDirectory()
    path = f"{scratch.name}/model.xml"
    openvino.save_model(_with_two_logits(core.read_model(task.model)), path, compress_to_fp16=False)
    adapter = OpenvinoAdapter(core, path, device="CPU", plugin_config=SETTINGS, max_num_requests=1)
    half = [127.5] * 3
    settings = {"mean_values": half, "scale_values": half, "reverse_input_channels": True, "resize_type": "standard"}
    model = ClassificationModel(adapter, {**settings, "labels": ["other", *task.labels], "topk": 1}, preload=True)
    scratch.cleanup()
    return lambda item: int(model(decoded(item)).top_labels[0].id)


def _with_two_logits(model: Any) -> Any:
    """Return a network of one logit as one of two, for one image at a time."""
    import numpy as np
    import openvino
    from openvino import opset13

    shape = model.inputs[0].partial_shape
    shape[0] = 1
    model.reshape({model.inputs[0]: shape})
    logit = model.outputs[0].get_node().input_value(0)
    both = opset13.concat([opset13.constant(np.zeros((1, 1), np.float32)), logit], 1)
    return openvino.Model([both], model.get_parameters())
