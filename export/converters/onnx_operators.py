"""TensorFlow operators that tf2onnx 1.17 lacks, as operators of ONNX. Keras uses them in activations and layers."""

from __future__ import annotations

from typing import Any

import numpy as np

Handlers = dict[str, tuple[Any, list[str]]]


def handlers() -> Handlers:
    """Return the conversions, for the argument ``custom_op_handlers`` of tf2onnx."""
    return {name: (function, []) for name, function in _CONVERSIONS.items()}


def _constant(ctx: Any, node: Any, value: float) -> str:
    """Return the name of a constant of the type of the node's first input."""
    from tf2onnx import utils

    kind = utils.map_onnx_to_numpy_type(ctx.get_dtype(node.input[0]))
    return str(ctx.make_const(utils.make_name(f"{node.name}_constant"), np.array(value, dtype=kind)).output[0])


def _replaced(ctx: Any, node: Any, *steps: tuple[str, tuple[Any, ...]]) -> None:
    """Replace a node by a chain of operators.

    Args:
        steps: type and inputs of each; an input is a name, a number, or None for the output of the operator before.
    """
    shape, kind, name = ctx.get_shape(node.output[0]), ctx.get_dtype(node.output[0]), node.output[0]
    last = ""
    constants = {
        value: _constant(ctx, node, value) for _, inputs in steps for value in inputs if isinstance(value, float)
    }
    ctx.remove_node(node.name)
    for i, (operator, inputs) in enumerate(steps):
        given = [last if each is None else constants.get(each, each) for each in inputs]
        end = {"outputs": [name]} if i == len(steps) - 1 else {}
        last = ctx.make_node(operator, given, shapes=[shape], dtypes=[kind], **end).output[0]


def _erfc(ctx: Any, node: Any, name: str, args: Any) -> None:
    """1 - erf(x); Keras' exact gelu."""
    _replaced(ctx, node, ("Erf", (node.input[0],)), ("Sub", (1.0, None)))


def _expm1(ctx: Any, node: Any, name: str, args: Any) -> None:
    """exp(x) - 1; Keras' celu. Near 0 it is exact to about 1e-7, not relatively."""
    _replaced(ctx, node, ("Exp", (node.input[0],)), ("Sub", (None, 1.0)))


def _log1p(ctx: Any, node: Any, name: str, args: Any) -> None:
    """log(1 + x); likewise."""
    _replaced(ctx, node, ("Add", (node.input[0], 1.0)), ("Log", (None,)))


_CONVERSIONS = {"Erfc": _erfc, "Expm1": _expm1, "Log1p": _log1p}
