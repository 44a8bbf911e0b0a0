"""Dataclasses without generated code behave as those of the standard library, which is the oracle here."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar

import numpy as np
import pytest

from edge_runtime.serialisation import frozen

Make = Callable[..., Any]


def values_of(decorator: Callable[..., Any]) -> tuple[Make, Make, Make]:
    """Return three classes of every kind of field: compared, not compared, and a subclass."""

    @decorator(frozen=True)
    class Plain:
        """A value."""

        KIND: ClassVar[str] = "plain"
        a: int
        b: Any = 2
        c: list[int] = field(default_factory=list)
        time: float = field(default=0.0, compare=False)
        hidden: str = field(default="x", repr=False)
        last: int = field(default=7, kw_only=True)

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError(f"found {self.a}")
            object.__setattr__(self, "b", self.b or 5)

    @decorator(frozen=True, eq=False)
    class Lone:
        """A value that equals itself alone."""

        a: Any

        def __repr__(self) -> str:
            return "lone"

    @decorator(frozen=True)
    class More(Plain):
        """A value with one field more."""

        d: int = 4

    return Plain, Lone, More


OURS, THEIRS = values_of(frozen.dataclass), values_of(dataclasses.dataclass)
BOTH = pytest.mark.parametrize("made", [OURS, THEIRS], ids=["ours", "standard"])


@frozen.dataclass(frozen=True)
class Single:
    """A value of one field, which can be pickled."""

    a: int


@BOTH
def test_fields_defaults_and_factories(made: tuple[Make, ...]) -> None:
    plain, _, more = made
    first, second = plain(1), plain(1)
    assert (first.a, first.b, first.c, first.time, first.hidden, first.last) == (1, 2, [], 0.0, "x", 7)
    assert first.c is not second.c
    assert plain(1, 3, [4], 5.0, "y", last=6) == plain(a=1, b=3, c=[4], time=5.0, hidden="y", last=6)
    assert [f.name for f in dataclasses.fields(more(1))] == ["a", "b", "c", "time", "hidden", "last", "d"]
    assert list(dataclasses.asdict(more(1, d=9)).values()) == [1, 2, [], 0.0, "x", 7, 9]
    assert plain.__match_args__ == ("a", "b", "c", "time", "hidden")
    assert dataclasses.is_dataclass(plain)


@BOTH
def test_what_is_checked_is_checked_and_may_set_a_field(made: tuple[Make, ...]) -> None:
    plain, _, more = made
    assert plain(1, None).b == more(1, 0).b == 5
    for kind in (plain, more):
        with pytest.raises(ValueError, match="found -1"):
            kind(-1)
    with pytest.raises(ValueError, match="found -2"):
        dataclasses.replace(plain(1), a=-2)


@BOTH
def test_equality_and_hash(made: tuple[Make, ...]) -> None:
    plain, lone, more = made
    assert plain(1, time=1.0) == plain(1, time=2.0)
    assert plain(1) != plain(2) and plain(1) != more(1) and plain(1) != "plain"
    assert plain(1, c=()) in {plain(1, c=())} and plain(2, c=()) not in {plain(1, c=())}  # type: ignore[comparison-overlap]
    with pytest.raises(TypeError, match="unhashable"):
        hash(plain(1))
    array = np.zeros(2)
    one = lone(array)
    assert one == one and one != lone(array) and one in {one}  # noqa: PLR0124


@BOTH
def test_text_shows_the_fields_unless_the_class_says_otherwise(made: tuple[Make, ...]) -> None:
    plain, lone, more = made
    name = "values_of.<locals>."
    assert repr(plain(1)) == f"{name}Plain(a=1, b=2, c=[], time=0.0, last=7)"
    assert repr(more(1)) == f"{name}More(a=1, b=2, c=[], time=0.0, last=7, d=4)"
    assert repr(lone(1)) == "lone"


@BOTH
def test_nothing_can_be_set_or_deleted(made: tuple[Make, ...]) -> None:
    value = made[0](1)
    for name in ("a", "other"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(value, name, 2)
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(value, name)


@BOTH
def test_a_subclass_that_is_no_dataclass_has_attributes_of_its_own(made: tuple[Make, ...]) -> None:
    class Own(made[0]):  # type: ignore[misc,name-defined]
        pass

    value = Own(1)
    value.other = 3
    assert (value.a, value.other) == (1, 3)
    del value.other
    for change in (lambda: setattr(value, "a", 2), lambda: delattr(value, "a")):
        with pytest.raises(FrozenInstanceError):
            change()


@BOTH
@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((1,), {"e": 2}), ((1,), {"a": 2}), ((1, 2, [], 0.0, "x", 7), {}), ((), {"b": 3}), ((), {"e": 1})],
    ids=["none", "unknown", "twice", "too many", "without a", "unknown without a"],
)
def test_other_arguments_are_an_error(made: tuple[Make, ...], values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        made[0](*values, **named)


def test_the_error_names_what_is_wrong() -> None:
    plain = OURS[0]
    for values, named, found in (
        ((), {}, "no a"),
        ((1,), {"e": 2}, "an unknown e"),
        ((1,), {"a": 2}, "two values of a"),
        ((1, 2, [], 0.0, "x", 7), {}, "6 values without names"),
    ):
        with pytest.raises(TypeError, match=rf"Plain: found .*{found}.*, expected a, b, c, time, hidden, last\.$"):
            plain(*values, **named)


def test_pickles_and_copies_are_equal() -> None:
    value = Single(3)
    assert pickle.loads(pickle.dumps(value)) == copy.copy(value) == copy.deepcopy(value) == value
    assert hash(value) == hash(Single(3)) and value != Single(4)


def test_a_class_that_changes_is_refused() -> None:
    with pytest.raises(TypeError, match="expected True"):
        frozen.dataclass(frozen=False)
