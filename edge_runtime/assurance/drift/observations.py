"""Answers as columns of numbers, one row an image, with the case that each image belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.decision.verdict import Decision, Reason

Floats = npt.NDArray[np.float64]
ANSWERS = ("score", "confidence", "familiarity")
"""Numbers of every answer; ``familiarity`` only for models with an out-of-distribution check."""

RATES = ("positive", "referred", "unfamiliar", "rerun", "failed")
NAN = float("nan")


@dataclass(frozen=True)
class Observation:
    """One image.

    Attributes:
        case: name of the case.
        time: RFC 3339, UTC, as in the results file.
        values: number of the answer → value; empty if the image failed.
        events: rate → whether it happened; a rate that cannot happen to this image is absent.
    """

    case: str
    time: str
    values: Mapping[str, float]
    events: Mapping[str, bool]


@dataclass(frozen=True, eq=False)
class Observations:
    """The images in the order of their time, N of them, in K cases.

    Attributes:
        times: time of each image.
        case: int64 (N,): index of each image's case; cases are numbered in the order of their first image.
        values: number of the answer → float64 (N,); NaN where an image has none.
        events: rate → float64 (N,): 1, 0, or NaN where it cannot happen.
    """

    times: tuple[str, ...]
    case: npt.NDArray[np.int64]
    values: dict[str, Floats]
    events: dict[str, Floats]

    @classmethod
    def of(cls, found: Iterable[Observation]) -> Observations:
        """Sort the images by time; images of equal time keep their order."""
        rows = sorted(found, key=lambda row: row.time)
        numbers: dict[str, int] = {}
        case = np.array([numbers.setdefault(row.case, len(numbers)) for row in rows], dtype=np.int64)
        names = dict.fromkeys(name for row in rows for name in row.values)
        return cls(
            tuple(row.time for row in rows),
            case,
            {name: np.array([row.values.get(name, NAN) for row in rows], dtype=np.float64) for name in names},
            {name: np.array([row.events.get(name, NAN) for row in rows], dtype=np.float64) for name in RATES},
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.times)

    @cached_property
    def cases(self) -> int:
        """Number of cases."""
        return int(self.case.max()) + 1 if len(self) else 0

    @cached_property
    def starts(self) -> tuple[str, ...]:
        """Time of the first image of each case."""
        first = np.unique(self.case, return_index=True)[1]
        return tuple(self.times[row] for row in first)

    def last_cases(self, count: int) -> Observations:
        """Return the images of the last ``count`` cases."""
        return self.chosen(self.case >= self.cases - count)

    def chosen(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Observations:
        """Return some of the images; cases without one are numbered no more."""
        _, case = np.unique(self.case[rows], return_inverse=True)
        times = np.array(self.times, dtype=object)[rows]
        return Observations(
            tuple(times),
            case.astype(np.int64),
            {name: column[rows] for name, column in self.values.items()},
            {name: column[rows] for name, column in self.events.items()},
        )


def observation(fields: Mapping[str, Any], case: str) -> Observation:
    """Return the image of a parsed line, an answer or a failure (docs/reference/json.md)."""
    time = str(fields["time"])
    if "error" in fields:
        return Observation(case, time, {}, {"failed": True})
    values = {name: float(fields[name]) for name in ANSWERS if name in fields}
    values |= {name: float(value) for name, value in fields.get("statistics", {}).items()}
    events = {
        "positive": fields["decision"] == Decision.POSITIVE.value,
        "referred": fields["decision"] == Decision.REFER.value,
        "failed": False,
    }
    if "familiarity" in fields:
        events["unfamiliar"] = fields["reason"] == Reason.UNFAMILIAR_INPUT.value
    if "fallback" not in fields:  # else every image is answered in float32
        events["rerun"] = fields["precision"] == Precision.FLOAT32.value
    return Observation(case, time, values, events)
