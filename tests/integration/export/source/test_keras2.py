"""The translation of Keras 2's configurations, key by key; expected values are from files that Keras 2.15 saved."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from export.source.keras2 import translated


def _layer(kind: str, name: str = "layer", **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name} | config}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (_layer("DepthwiseConv2D", groups=1, depth_multiplier=2), _layer("DepthwiseConv2D", depth_multiplier=2)),
        (_layer("Conv2DTranspose", groups=1), _layer("Conv2DTranspose")),
        (_layer("SeparableConv2D", groups=1, kernel_regularizer=None), _layer("SeparableConv2D")),
        (_layer("BatchNormalization", axis=[3]), _layer("BatchNormalization", axis=3)),
        (_layer("LayerNormalization", axis=[3]), _layer("LayerNormalization", axis=[3])),
        (_layer("Conv2D", groups=2), _layer("Conv2D", groups=2)),
    ],
)
def test_a_layers_keys_are_translated_wherever_it_lies(written: dict[str, Any], read: dict[str, Any]) -> None:
    untouched = copy.deepcopy(written)
    assert translated(written) == read
    deep = {"class_name": "Sequential", "config": {"layers": [_layer("TimeDistributed", layer=written)]}}
    assert translated(deep)["config"]["layers"][0]["config"]["layer"] == read
    assert written == untouched


def test_a_sequential_has_its_shape_from_one_place() -> None:
    shape = {"batch_input_shape": [None, 8, 8, 3]}
    written = _layer("Sequential", layers=[_layer("InputLayer", **shape), _layer("Conv2D", **shape)])
    read = _layer("Sequential", layers=[_layer("InputLayer", **shape), _layer("Conv2D")])
    assert translated(written) == read
    without = _layer("Sequential", layers=[_layer("Conv2D", **shape)])
    assert translated(without) == without


def test_calls_of_a_network_inside_are_counted_from_zero_and_others_stay() -> None:
    written = _layer(
        "Functional",
        layers=[
            _layer("InputLayer", "image") | {"inbound_nodes": []},
            _layer("Functional", "base", layers=[], input_layers=[["in", 0, 0]], output_layers=[["out", 0, 0]])
            | {"inbound_nodes": [[["image", 0, 0, {"training": False}]]]},
            _layer("Dense", "scores") | {"inbound_nodes": [[["base", 1, 0, {"mask": ["base", 2, 0]}]]]},
            _layer("Add", "sum") | {"inbound_nodes": [[["scores", 1, 0, {}], ["scores", 0, 0, {}]]]},
        ],
        input_layers=[["image", 0, 0]],
        output_layers=[["scores", 0, 0], ["base", 1, 0]],
    )
    read = translated(written)["config"]
    base, scores, total = read["layers"][1:]
    assert base["inbound_nodes"] == [[["image", 0, 0, {"training": False}]]]
    assert (base["config"]["input_layers"], base["config"]["output_layers"]) == (["in", 0, 0], ["out", 0, 0])
    assert scores["inbound_nodes"] == [[["base", 0, 0, {"mask": ["base", 1, 0]}]]]
    assert total["inbound_nodes"] == [[["scores", 1, 0, {}], ["scores", 0, 0, {}]]]
    assert read["input_layers"] == ["image", 0, 0]
    assert read["output_layers"] == [["scores", 0, 0], ["base", 0, 0]]
