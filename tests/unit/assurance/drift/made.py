"""Results files of made-up answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.assurance.drift.observations import Observation, Observations
from edge_runtime.results.lines import line_of

START = datetime(2026, 3, 1, 8, tzinfo=timezone.utc)
ORIGIN = {
    "model": "made-model",
    "version": "1.0.0",
    "contract": "c" * 64,
    "cutoff": 0.5,
    "confidence_floor": 0.0,
    "bundle": "b" * 64,
}


def time(minutes: float) -> str:
    """Return the time so many minutes after the first answer."""
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def answer(image: str, minutes: float, score: float, statistics: dict[str, float] | None = None, **other: Any) -> str:
    """Return the line of one answer."""
    positive = score >= 0.5
    fields = {
        "schema": "edge-predict/2",
        "image": image,
        "time": time(minutes),
        "bundle": ORIGIN["bundle"],
        "sha256": f"{abs(hash((image, other.get('sha', '')))) % 16**12:064x}",
        "model": ORIGIN["model"],
        "version": ORIGIN["version"],
        "label": "malignant" if positive else "benign",
        "scores": {"benign": 1 - score, "malignant": score},
        "score": score,
        "confidence": max(score, 1 - score),
        "cutoff": 0.5,
        "confidence_floor": 0.0,
        "site": "uncalibrated",
        "decision": "POSITIVE" if positive else "NEGATIVE",
        "reason": "ABOVE_CUTOFF" if positive else "BELOW_CUTOFF",
        **({} if statistics is None else {"statistics": statistics}),
        "contract": ORIGIN["contract"],
        "backend": "litert",
        "precision": "int8",
        "ms": {"decode": 1.0, "prepare": 1.0, "run": 1.0},
    }
    other.pop("sha", None)
    return line_of({**fields, **other})


def failure(image: str, minutes: float) -> str:
    """Return the line of one rejected image."""
    error = {"kind": "image", "code": "image_empty", "message": "empty"}
    common = {"schema": "edge-predict/2", "image": image, "time": time(minutes), "bundle": ORIGIN["bundle"]}
    return line_of({**common, "error": error})


def write(path: Path, lines: Iterable[str]) -> Path:
    """Write a results file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return path


def series(cases: int, images: int, seed: int, move: float = 0.0, first: int = 0, since: int = 0) -> list[str]:
    """Return answers of patients: a score and two statistics, all of which differ between patients.

    Args:
        cases: number of patients.
        images: images of each patient.
        seed: of the random numbers.
        move: added to the statistic ``grain`` from case ``since`` on, in its standard deviations.
        first: number of the first patient; patients follow each other by one day.
        since: first patient with the move.
    """
    random, lines = np.random.default_rng(seed), []
    for case in range(cases):
        base, grain = random.normal(size=2)
        for image in range(images):
            noise = random.normal(size=2)
            score = float(1 / (1 + np.exp(-(base + noise[0]) / 1.5)))
            moved = move if case >= since else 0.0
            statistics = {"width": 50, "grain": round(float(grain + noise[1]) / 1.5 + moved, 6)}
            name = f"in/p{first + case:04d}/{image}.png"
            lines.append(answer(name, 1440 * (first + case) + image, score, statistics))
    return lines


def observations(cases: int, images: int, seed: int, move: float = 0.0) -> Observations:
    """Return made-up observations of one number, ``score``, that is correlated within cases."""
    random = np.random.default_rng(seed)
    rows = []
    for case in range(cases):
        base = random.normal()
        for image in range(images):
            value = base + random.normal() + move
            rows.append(Observation(f"{case}", time(case * 60 + image), {"score": value}, {"failed": False}))
    return Observations.of(rows)
