"""The public surface as data: what scripts, devices and other programs rely on.

``python -m tests.surface`` writes ``tests/surface.json`` anew. A change of that file in a commit is a change of what
users have; the changelog says it.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import types
import typing
from pathlib import Path
from typing import Any

import click

import edge_runtime
import edge_runtime.cli.accept
import edge_runtime.cli.archive
import edge_runtime.cli.bundle
import edge_runtime.cli.dicom
import edge_runtime.cli.drift
import edge_runtime.cli.predict
import edge_runtime.cli.serve
import export.cli
import training.cli
from edge_runtime import errors
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.cli.exit_codes import EXIT_CODES

FILE = Path(__file__).with_suffix(".json")
COMMANDS = {
    "edge-predict": edge_runtime.cli.predict.main,
    "edge-predict accept": edge_runtime.cli.accept.command,
    "edge-predict drift": edge_runtime.cli.drift.command,
    "edge-predict archive": edge_runtime.cli.archive.main,
    "edge-bundle": edge_runtime.cli.bundle.main,
    "edge-dicom": edge_runtime.cli.dicom.main,
    "edge-serve": edge_runtime.cli.serve.main,
    "python -m export": export.cli.main,
    "python -m training": training.cli.main,
}


def surface() -> dict[str, Any]:
    """Everything of it; values are JSON."""
    return {
        "edge_runtime.__all__": sorted(edge_runtime.__all__),
        "enumerations": {
            name: {member.name: member.value for member in value}
            for name, value in public().items()
            if isinstance(value, type) and issubclass(value, enum.Enum)
        },
        "signatures": {
            f"{kind.__name__}.{name}": signature(getattr(kind, name))
            for kind in (edge_runtime.Predictor, edge_runtime.Region, edge_runtime.Prediction, edge_runtime.Failure)
            for name in attributes(kind)
            if callable(getattr(kind, name, None))
        }
        | {
            name: signature(value)
            for name, value in public().items()
            if callable(value) and not isinstance(value, type)
        },
        "attributes": {name: attributes(value) for name, value in public().items() if isinstance(value, type)},
        "errors": {
            kind.__name__: [kind.__base__.__name__ if kind.__base__ else "", kind.exit_code]
            for kind in vars(errors).values()
            if isinstance(kind, type) and issubclass(kind, errors.EdgeError)
        },
        "exit status": EXIT_CODES.splitlines()[2:],
        "commands": {name: command(found) for name, found in COMMANDS.items()},
        "bundle.json": fields(Manifest),
    }


def public() -> dict[str, Any]:
    """Return name → object of ``edge_runtime.__all__``, in order of the names."""
    return {name: getattr(edge_runtime, name) for name in sorted(edge_runtime.__all__)}


def attributes(kind: type) -> list[str]:
    """Return the public methods and fields of a class."""
    named = {name for base in kind.__mro__ for name in getattr(base, "__annotations__", {})}
    named |= {name for name in dir(kind) if name not in dir(Exception)}
    return sorted(name for name in named if not name.startswith("_"))


def signature(found: Any) -> list[str]:
    """Return the parameters of a function, as they are called, with what they default to."""
    told = []
    for each in inspect.signature(found).parameters.values():
        star = "*" if each.kind is each.KEYWORD_ONLY else ""
        told.append(f"{star}{each.name}" + ("" if each.default is each.empty else f" = {each.default}"))
    return [name for name in told if name != "self"]


def command(found: click.Command) -> dict[str, Any]:
    """Return the parameters of a command, and of those below it."""
    told: dict[str, Any] = {" ".join((*each.opts, *each.secondary_opts)): _parameter(each) for each in found.params}
    if isinstance(found, click.Group):
        told |= {f"> {name}": command(below) for name, below in sorted(found.commands.items())}
    return told


def _parameter(found: click.Parameter) -> str:
    kind = found.type.choices if isinstance(found.type, click.Choice) else found.type.name
    if isinstance(kind, list | tuple):
        kind = "|".join(str(getattr(each, "value", each)) for each in kind)
    flags = [word for word, is_so in (("required", found.required), ("multiple", found.multiple)) if is_so]
    flags += ["flag"] if getattr(found, "is_flag", False) else []
    default = None if callable(found.default) else found.to_info_dict()["default"]
    return " ".join((str(kind), *flags, f"default {default}"))


def fields(kind: Any) -> Any:
    """Return the fields of a frozen dataclass, and of those below it, as ``bundle.json`` writes them."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return {each.name: fields(hints[each.name]) for each in dataclasses.fields(kind)}
    if origin in (typing.Union, types.UnionType):
        return [fields(each) for each in typing.get_args(kind)]
    if origin is not None:
        return {getattr(origin, "__name__", str(origin)): [fields(each) for each in typing.get_args(kind)]}
    return getattr(kind, "__name__", str(kind))


if __name__ == "__main__":
    FILE.write_text(json.dumps(surface(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
