"""Every activation of ``keras.activations``, on values of both signs in the middle of a small network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from export.coverage.small import network, signed
from export.coverage.subject import Subject

GROUP = "keras.activations"

NAMES = (
    *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *("leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
    *("soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus"),
    *("tanh", "tanh_shrink", "threshold"),
)
"""All of them, without second names (hard_swish, swish). A test compares them with ``dir(keras.activations)``."""


def subjects() -> Iterator[Subject]:
    """Yield a subject for each activation."""
    for name in NAMES:
        yield Subject(name, GROUP, partial(_build, name))
    yield Subject("gelu, approximate", GROUP, partial(network, _approximate_gelu))


def _build(name: str) -> Any:
    import keras

    if name == "threshold":  # it has no defaults, so no layer takes its name
        return network(lambda x: keras.activations.threshold(signed(x), 0.1, 0.0))
    if name == "glu":  # it halves the channels, which the layer Activation does not expect
        return network(lambda x: keras.activations.glu(signed(x)))
    return network(lambda x: keras.layers.Activation(name, name=f"{name}_layer")(signed(x)))


def _approximate_gelu(x: Any) -> Any:
    import keras

    return keras.ops.gelu(signed(x), approximate=True)
