"""``dataclass(frozen=True)`` without generated code, for classes that every start of a command defines.

:func:`dataclasses.dataclass` compiles six functions for each class. That took 40 % of the time in which this package is
imported for one image. Here the standard decorator only collects the fields, and the methods are closures over them.
Classes behave as those of the standard decorator, which type checkers see in its place. An instance of few fields takes
a third of a microsecond more, unless its class has an ``__init__`` of its own: ``self.__dict__.update(a=a, b=b)`` is
faster than the generated one. Classes with instances for each image have that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

Fields = tuple["dataclasses.Field[Any]", ...]
Methods = dict[str, Callable[..., Any]]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, eq: bool = True) -> Callable[[type], type]:
        """Return the decorator; options of the standard one that are absent here are not supported.

        Args:
            frozen: True, as of :func:`dataclasses.dataclass`.
            eq: whether instances with equal fields are equal, and hashed by their fields.
        """
        if not frozen:
            raise TypeError("found frozen=False, expected True. Use dataclasses.dataclass for a class that changes.")
        return partial(_frozen, eq=eq)


def _frozen(cls: type, eq: bool) -> type:
    own = frozenset(vars(cls))
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(made)
    methods = {"__init__": _init(made, fields), "__repr__": _repr(fields), **_immutable(made, fields)}
    for name, method in (methods | _compared(fields) if eq else methods).items():
        if name not in own:
            method.__name__, method.__qualname__ = name, f"{cls.__qualname__}.{name}"
            setattr(made, name, method)
    return made


def _init(cls: type, fields: Fields) -> Callable[..., None]:
    known, positional = frozenset(f.name for f in fields), tuple(f.name for f in fields if not f.kw_only)
    count = len(known)
    defaults = {f.name: f.default for f in fields if f.default is not MISSING}
    factories = {f.name: f.default_factory for f in fields if f.default_factory is not MISSING}
    is_checked = hasattr(cls, "__post_init__")

    def init(self: Any, *values: Any, **named: Any) -> None:
        found = self.__dict__
        if not values and len(named) == count and named.keys() == known:  # how the classes with many fields are made
            found.update(named)
        else:
            found.update(zip(positional, values, strict=False))
            found.update(named)
            if found.keys() != known or len(values) + len(named) != count:
                complete(found, values, named)
        if is_checked:
            self.__post_init__()

    def complete(found: dict[str, Any], values: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Add what fields default to; raise TypeError if that gives not each field one value."""
        for name in known - found.keys():
            if name in factories:
                found[name] = factories[name]()
            elif name in defaults:
                found[name] = defaults[name]
        if found.keys() != known or len(values) > len(positional) or twice(values, named):
            raise TypeError(mismatch(values, named))

    def twice(values: tuple[Any, ...], named: dict[str, Any]) -> list[str]:
        return [name for name in positional[: len(values)] if name in named]

    def mismatch(values: tuple[Any, ...], named: dict[str, Any]) -> str:
        given = {*positional[: len(values)], *named, *defaults, *factories}
        found = [f"no {name}" for name in sorted(known - given)]
        found += [f"an unknown {name}" for name in sorted(named.keys() - known)]
        found += [f"two values of {name}" for name in twice(values, named)] or [f"{len(values)} values without names"]
        return f"{cls.__qualname__}: found {', '.join(found)}, expected {', '.join(f.name for f in fields)}."

    return init


def _repr(fields: Fields) -> Callable[[Any], str]:
    names = tuple(f.name for f in fields if f.repr)
    return lambda self: f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


def _immutable(cls: type, fields: Fields) -> Methods:
    """Return the methods that keep the fields; a subclass that is no dataclass may have other attributes."""
    known = frozenset(f.name for f in fields)

    def set_other(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in known:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def delete_other(self: Any, name: str) -> None:
        if type(self) is cls or name in known:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    return {"__setattr__": set_other, "__delattr__": delete_other}


def _compared(fields: Fields) -> Methods:
    names = [f.name for f in fields if f.compare]
    values: Callable[[Any], Any] = attrgetter(*names) if names else lambda _: ()

    def equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return {"__eq__": equal, "__hash__": lambda self: hash(values(self))}
