"""False alarms and power of ``edge-predict drift`` on held-out patients.

    python -m benchmarks drift --model idc-patch-compact --data DATA/idc
    python -m benchmarks drift --model breast-us --data DATA

Each held-out image is answered once with each change (``drift_answers.py``). Then patients are drawn, without
replacement: some make the reference, others the window, whose images carry the change. A drift is found if any test of
the report finds one. Without a change, that is a false alarm. ``--answers FILE`` keeps the answers for the next run.

With 200 repeats, a share of 5 % has a 95 % interval of 2.4 to 9.0 %.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks.studies.drift_answers import Pool, flips, pool, referred
from edge_runtime.assurance.binomial import interval
from edge_runtime.assurance.drift.comparison import compare
from edge_runtime.assurance.drift.observations import ANSWERS, Observations
from edge_runtime.assurance.drift.reference import reference_of
from edge_runtime.assurance.drift.student import holm
from edge_runtime.bundle.bundle import find

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
ALPHA = 0.05
SIZES = (6, 10, 15, 20, 30, 40, 55, 75)
POWER = 0.8
FEWEST_OF_TRAIT, MOST_OF_TRAIT = 15, 40
"""Patients of one site or scanner in the reference."""


@dataclass(frozen=True)
class Draw:
    """Which patients are drawn.

    Attributes:
        references: patients that may be drawn for the reference.
        size: number of patients in the reference.
        windows: patients that may be drawn for the window; None for the rest of ``references``.
    """

    references: list[str]
    size: int
    windows: list[str] | None = None

    @property
    def sizes(self) -> list[int]:
        """Numbers of patients in the window."""
        most = len(self.references) - self.size if self.windows is None else len(self.windows)
        return [size for size in SIZES if size <= most]


def found_in(pool: Pool, draw: Draw, repeats: int) -> dict[tuple[str, bool], list[int]]:
    """Count the repeats with a drift, for each change, with and without statistics, and for each size of the window."""
    random, rows = np.random.default_rng(0), [(change, known) for change in pool.answers for known in (False, True)]
    counts = {row: [0] * len(draw.sizes) for row in rows}
    for _ in range(repeats):
        drawn = random.permutation(np.array(draw.references))
        chosen = pool.answers["none"].chosen(np.isin(pool.patients, drawn[: draw.size]))
        reference = reference_of(chosen, "", "", "patients")
        rest = drawn[draw.size :] if draw.windows is None else random.permutation(np.array(draw.windows))
        for place, size in enumerate(draw.sizes):
            inside = np.isin(pool.patients, rest[:size])
            for change, known in rows:
                window = pool.answers[change].chosen(inside)
                tests = compare(window if known else without_statistics(window), reference)
                counts[change, known][place] += any(p <= ALPHA for p in holm([test.p for test in tests]))
    return counts


def table(pool: Pool, draw: Draw, repeats: int, name: str = "") -> None:
    """Print the shares of repeats with a drift, as Markdown."""
    sizes = " | ".join(map(str, draw.sizes))
    print(f"| change | statistics | {sizes} | 95 % interval of the last | found at |")
    print(f"|---|---|{'---|' * (len(draw.sizes) + 2)}")
    for (change, known), counts in found_in(pool, draw, repeats).items():
        low, high = interval(counts[-1], repeats)
        enough = [size for size, count in zip(draw.sizes, counts, strict=True) if count >= POWER * repeats]
        cells = " | ".join(f"{count / repeats:.3f}" for count in counts)
        first = str(enough[0]) if enough else "–"
        label = name or ("none (false alarms)" if change == "none" else change)
        print(
            f"| {label} | {'with' if known else 'without'} | {cells} | [{low:.3f}, {high:.3f}] | {first} |", flush=True
        )


def without_statistics(answers: Observations) -> Observations:
    """Return the answers as they are without ``--statistics``."""
    return replace(answers, values={name: answers.values[name] for name in ANSWERS if name in answers.values})


@click.command()
@click.option("--model", required=True, help="Name of a shipped model, whose artifact is in training/models.")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--answers", type=FILE, help="Keep the answers in this file, or take them from it.")
@click.option("--repeats", type=click.IntRange(min=1), default=200, show_default=True, help="Draws of patients.")
@click.option("--traits", is_flag=True, help="Sites and scanners in place of changes.")
@click.option("--reference", type=click.IntRange(min=1), help="Patients in the reference; by default as in the bundle.")
def drift(model: str, data: Path, answers: Path | None, repeats: int, traits: bool, reference: int | None) -> None:
    """Measure false alarms and power of edge-predict drift on held-out patients, and print them as Markdown."""
    found = _kept(answers) if answers is not None and answers.exists() else pool(model, data)
    if answers is not None and not answers.exists():
        answers.write_bytes(pickle.dumps(found))
    patients = sorted(set(found.patients.tolist()))
    bundled = find(model).manifest.reference_distribution
    size = reference or (len(patients) // 2 if bundled is None else bundled.patients)
    if not traits:
        _by_change(found, model, patients, size, repeats)
    for trait in ("site", "scanner") if traits else ():
        _by_trait(found, trait, repeats)


def _kept(answers: Path) -> Pool:
    """Return the answers of an earlier run. Only files that this command wrote may be given: pickles run code."""
    found = pickle.loads(answers.read_bytes())
    if not isinstance(found, Pool):
        raise click.UsageError(f"{answers}: found no answers of this command. Name another file.")
    return found


def _by_change(found: Pool, model: str, patients: list[str], size: int, repeats: int) -> None:
    """Print the table of windows whose images are all changed."""
    print(f"{model}: {len(patients)} patients, {len(found.patients)} images; {size} in the reference")
    for change in found.answers:
        if change != "none":
            print(f"  {change}: {flips(found, change):.3f} of decisions change, {referred(found, change):.3f} referred")
    table(found, Draw(patients, size), repeats)


def _by_trait(found: Pool, trait: str, repeats: int) -> None:
    """Print the table of windows from one site or scanner, beside a reference from another one."""
    values = found.traits.get(trait)
    if values is None:
        return
    of = {value: sorted(set(found.patients[values == value].tolist())) for value in sorted(set(values)) if value}
    large = {value: patients for value, patients in of.items() if len(patients) >= SIZES[0]}
    print(f"\n{trait}: " + ", ".join(f"{value} {len(patients)}" for value, patients in large.items()))
    plain = replace(found, answers={"none": found.answers["none"]})
    for value, patients in large.items():
        size = min(len(patients) // 2, MOST_OF_TRAIT)
        for other, theirs in large.items() if size >= FEWEST_OF_TRAIT else ():
            draw = Draw(patients, size, None if other == value else theirs)
            table(plain, draw, repeats, f"{value} ({size}), then {other}")
