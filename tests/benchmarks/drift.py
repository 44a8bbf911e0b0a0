"""False alarms and power of ``edge-predict drift`` on held-out patients.

    PYTHONPATH=. python tests/benchmarks/drift.py --model idc-patch-compact --data DATA/idc
    PYTHONPATH=. python tests/benchmarks/drift.py --model breast-us --data DATA

Each held-out image is answered once with each change (``drift_answers.py``). Then patients are drawn, without
replacement: some make the reference, others the window, whose images carry the change. A drift is found if any test of
the report finds one. Without a change, that is a false alarm. ``--answers FILE`` keeps the answers for the next run.

With 200 repeats, a share of 5 % has a 95 % interval of 2.4 to 9.0 %. Once a change is found in every repeat, larger
windows are not tried and stand as 1.00.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from drift_answers import Pool, flips, pool, referred

from edge_runtime.assurance.binomial import interval
from edge_runtime.assurance.drift.comparison import compare
from edge_runtime.assurance.drift.observations import ANSWERS, Observations
from edge_runtime.assurance.drift.reference import reference_of
from edge_runtime.assurance.drift.student import holm
from edge_runtime.bundle.bundle import find

ALPHA = 0.05
SIZES = (6, 8, 10, 15, 20, 30, 40, 55, 75, 100, 150)
POWER = 0.8


def drifted(window: Observations, reference: Observations) -> bool:
    """Return whether any test of the report finds a drift."""
    tests = compare(window, reference_of(reference, "", "", "patients"))
    return any(value <= ALPHA for value in holm([test.p for test in tests]))


def share(
    windows: Observations,
    references: Observations,
    patients: Sequence[str],
    sizes: tuple[int, int],
    others: Sequence[str] | None,
    repeats: int,
    codes: np.ndarray,
) -> int:
    """Count the repeats with a drift.

    Args:
        windows: answers with the change, row by row as ``references``.
        references: answers without it.
        patients: patients that may be drawn for the reference.
        sizes: numbers of patients in reference and window.
        others: patients that may be drawn for the window; None for the rest of ``patients``.
        repeats: number of draws.
        codes: patient of each row.
    """
    random, found = np.random.default_rng(0), 0
    for _ in range(repeats):
        drawn = random.permutation(np.array(patients))
        reference = drawn[: sizes[0]]
        rest = drawn[sizes[0] :] if others is None else random.permutation(np.array(others))
        window = windows.chosen(np.isin(codes, rest[: sizes[1]]))
        found += drifted(window, references.chosen(np.isin(codes, reference)))
    return found


def without_statistics(answers: Observations) -> Observations:
    """Return the answers as they are without ``--statistics``."""
    return replace(answers, values={name: answers.values[name] for name in ANSWERS if name in answers.values})


def row(
    name: str,
    found: Pool,
    change: str,
    size: int,
    repeats: int,
    patients: Sequence[str],
    others: Sequence[str] | None,
    *,
    statistics: bool,
) -> str:
    """Return one line: the share of draws with a drift for each number of patients in the window."""
    most = len(patients) - size if others is None else len(others)
    cells, first, count = [], "–", 0
    chosen = (found.answers[change], found.answers["none"])
    if not statistics:
        chosen = without_statistics(chosen[0]), without_statistics(chosen[1])
    for window in (n for n in SIZES if n <= most):
        if count < repeats:
            count = share(*chosen, patients, (size, window), others, repeats, found.patients)
        if first == "–" and count >= POWER * repeats:
            first = str(window)
        cells.append(f"{count / repeats:.2f}")
    low, high = interval(count, repeats)
    known = "with" if statistics else "without"
    return f"| {name} | {known} | {' | '.join(cells)} | [{low:.3f}, {high:.3f}] | {first} |"


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--answers", type=Path, help="Keep the answers in this file, or take them from it.")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--traits", action="store_true", help="Print sites and scanners in place of changes.")
    parser.add_argument("--reference", type=int, help="Patients in the reference; by default as in the bundle.")
    chosen = parser.parse_args()
    if chosen.answers is not None and chosen.answers.exists():
        found = pickle.loads(chosen.answers.read_bytes())
    else:
        found = pool(chosen.model, chosen.data)
        if chosen.answers is not None:
            chosen.answers.write_bytes(pickle.dumps(found))
    patients = sorted(set(found.patients.tolist()))
    bundled = find(chosen.model).manifest.reference_distribution
    size = chosen.reference or (len(patients) // 2 if bundled is None else bundled.patients)
    if not chosen.traits:
        _by_change(found, chosen.model, patients, size, chosen.repeats)
    for trait in ("site", "scanner") if chosen.traits else ():
        _by_trait(found, trait, chosen.repeats)


def _by_change(found: Pool, model: str, patients: list[str], size: int, repeats: int) -> None:
    """Print the table of windows whose images are all changed."""
    print(f"{model}: {len(patients)} patients, {len(found.patients)} images; {size} in the reference")
    for change in found.answers:
        if change != "none":
            print(f"  {change}: {flips(found, change):.3f} of decisions change, {referred(found, change):.3f} referred")
    most = len(patients) - size
    sizes = [str(n) for n in SIZES if n <= most]
    print(f"| change | statistics | {' | '.join(sizes)} | interval of the last | found at |")
    print(f"|---|---|{'---|' * (len(sizes) + 2)}")
    for change in found.answers:
        for statistics in (False, True):
            name = "none (false alarms)" if change == "none" else change
            print(row(name, found, change, size, repeats, patients, None, statistics=statistics), flush=True)


def _by_trait(found: Pool, trait: str, repeats: int) -> None:
    """Print the table of windows from one site or scanner, beside a reference from another one."""
    values = found.traits.get(trait)
    if values is None:
        return
    of = {value: sorted(set(found.patients[values == value].tolist())) for value in sorted(set(values)) if value}
    large = {value: patients for value, patients in of.items() if len(patients) >= SIZES[0]}
    print(f"\n{trait}: " + ", ".join(f"{value} {len(patients)}" for value, patients in large.items()))
    for value, patients in large.items():
        size = min(len(patients) // 2, 40)
        if size < 15:
            continue
        for other, theirs in large.items():
            others = None if other == value else theirs
            for statistics in (False, True):
                name = f"{value} ({size}) → {other}"
                print(row(name, found, "none", size, repeats, patients, others, statistics=statistics), flush=True)


if __name__ == "__main__":
    main()
