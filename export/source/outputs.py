"""The outputs of a network by name, and the network with one of them.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

from typing import Any

from export.errors import ExportError


def output_names(model: Any) -> tuple[str, ...]:
    """Return the names of a Keras model's outputs: keys if it returns a dictionary, otherwise names of layers.

    A layer with several outputs gives them numbers: ``split``, ``split_2``.
    """
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict) and len(structure) == len(model.outputs):
        return tuple(sorted(structure))  # Keras flattens a dictionary in this order
    names: list[str] = []
    for tensor in model.outputs:
        name = tensor._keras_history.operation.name
        count = sum(each == name or each.startswith(f"{name}_") for each in names)
        names.append(f"{name}_{count + 1}" if name in names else name)
    return tuple(names)


def with_output(model: Any, name: str, where: str) -> Any:
    """Return a Keras model with the named output alone; the model itself if that is its only one.

    Raises:
        ExportError: there is no output of that name.
    """
    import keras

    names = output_names(model)
    if name not in names:
        raise ExportError(f"{where}: found no output {name}, expected one of {', '.join(names)}. Correct --output.")
    if len(names) == 1:
        return model
    taken = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return keras.Model(taken, model.outputs[names.index(name)])
