"""Loader of the published layout of the mini-MIAS mammograms.

``all-mias/mdb001.pgm`` … ``mdb322.pgm``, 1024×1024 grey, and ``Info.txt`` with one line per lesion::

    <reference> <tissue F|G|D> <class of abnormality, or NORM> <severity B|M> <x> <y> <radius>

in pixels, x from the left and **y from the bottom**; :class:`Lesion` counts y from the top. Lesions spread
over the whole breast have no position. The images come in pairs: an odd number and the next even number are the two
breasts of one patient.

Source: Suckling et al. 1994, Excerpta Medica Int. Congress Series 1069:375. Research use only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from training.data.datasets.dataset import Dataset, Sample, Traits, absent_labels, refuse_faults
from training.errors import DatasetError

FOLDER = "all-mias"
INFO = "Info.txt"
LABELS = ("normal", "abnormal")
SIDE_PX = 1024
KINDS = ("CALC", "CIRC", "SPIC", "MISC", "ARCH", "ASYM")
TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
SEVERITIES = {"B": "benign", "M": "malignant"}
_REFERENCE = re.compile(r"mdb(?P<number>\d{3})")


@dataclass(frozen=True)
class Lesion:
    """One line of ``Info.txt`` that is not NORM.

    Attributes:
        tissue: F fatty, G fatty-glandular, D dense-glandular.
        kind: one of ``KINDS``.
        severity: B benign, M malignant.
        centre_px: x from the left and y from the *top*, pixel centres at whole numbers; None if spread over the breast.
        radius_px: radius of a circle around the lesion; None if spread over the breast.
    """

    tissue: str
    kind: str
    severity: str
    centre_px: tuple[int, int] | None = None
    radius_px: int | None = None


def load(root: Path, *, strict: bool = False) -> Dataset:
    """Read the layout below ``root``, which is the published folder or the folder that holds it.

    Files that are not PGM are skipped and listed, and so are references of ``Info.txt`` without an image.

    Args:
        root: the folder.
        strict: treat a reference without an image as a fault.

    Raises:
        DatasetError: the folder or ``Info.txt`` is missing, a line of it cannot be read, or an image has no line or a
            name that is not a reference. The error counts all faults and names the first five.
    """
    folder = _find(root)
    known, faults = _read_info(folder / INFO)
    samples: list[Sample] = []
    passed_over: list[str] = []
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name != INFO):
        match = _REFERENCE.fullmatch(path.stem)
        if path.suffix.lower() != ".pgm":
            passed_over.append(path.name)
        elif match is None or path.stem not in known:
            faults.append(f"{path.name}: no line in {INFO} has the reference {path.stem}")
        else:
            samples.append(Sample(path.name, path, int(bool(known[path.stem])), str((int(match["number"]) + 1) // 2)))
    absent = sorted(set(known) - {sample.path.stem for sample in samples})
    missing = [f"{reference}.pgm: named in {INFO}, not in the folder" for reference in absent]
    _refuse(folder, faults + (missing if strict else []), len(samples))
    found = tuple(sorted(samples))
    notes, traits = absent_labels(LABELS, found), _traits(folder / INFO, found, known)
    return Dataset(folder, LABELS, found, tuple(passed_over + missing), notes=notes, traits=traits)


def lesions(sample: Sample) -> tuple[Lesion, ...]:
    """Return the lesions of an image, in the order of ``Info.txt``; an empty tuple if it is normal."""
    return _read_info(sample.path.parent / INFO)[0][sample.path.stem]


def _traits(info: Path, samples: tuple[Sample, ...], known: dict[str, tuple[Lesion, ...]]) -> dict[str, Traits]:
    """Return name → traits: tissue (given for normal images too), and the kinds and severities of lesions."""
    lines = (line.split() for line in info.read_text(encoding="ascii", errors="replace").splitlines())
    tissue = {words[0]: TISSUES[words[1]] for words in lines if len(words) > 1 and words[1] in TISSUES}
    found: dict[str, Traits] = {}
    for sample in samples:
        here = known[sample.path.stem]
        kinds = (("lesion", lesion.kind) for lesion in here)
        severities = (("severity", SEVERITIES[lesion.severity]) for lesion in here)
        found[sample.name] = (("tissue", tissue[sample.path.stem]), *dict.fromkeys((*kinds, *severities)))
    return found


def _find(root: Path) -> Path:
    for folder in (root / FOLDER, root):
        if (folder / INFO).is_file():
            return folder
    found = f"no {INFO}" if root.is_dir() else "no such folder"
    raise DatasetError(
        f"{root}: found {found}, expected {FOLDER}/{INFO} beside {FOLDER}/mdb001.pgm …. Download the mini-MIAS "
        f"database (Suckling et al. 1994), unpack it, and give the folder that holds it; {INFO} holds the labels."
    )


def _read_info(path: Path) -> tuple[dict[str, tuple[Lesion, ...]], list[str]]:
    """Return reference → lesions, and one message for each line that cannot be read."""
    known: dict[str, list[Lesion]] = defaultdict(list)
    faults = []
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        words = line.split("*")[0].split()  # "*NOTE 3*" is there if the position is not given
        if not words:
            continue
        try:
            found = _lesion(words)
        except ValueError as error:
            faults.append(f"{INFO} line {number}: found {line.strip()!r}, {error}")
            continue
        if words[0] in known and bool(known[words[0]]) != bool(found):
            faults.append(f"{INFO} line {number}: {words[0]} is NORM in one line and has a lesion in another")
        known[words[0]] += found
    return {reference: tuple(found) for reference, found in known.items()}, faults


def _lesion(words: list[str]) -> list[Lesion]:
    """Return the lesion of one line; an empty list for NORM.

    Raises:
        ValueError: the line is neither a lesion nor NORM.
    """
    if _REFERENCE.fullmatch(words[0]) is None or len(words) < 3 or words[1] not in ("F", "G", "D"):
        raise ValueError("expected a reference mdb<3 digits>, a tissue F, G or D, and a class")
    if words[2:] == ["NORM"]:
        return []
    if len(words) not in (4, 7) or words[2] not in KINDS or words[3] not in ("B", "M"):
        raise ValueError(f"expected NORM, or one of {' '.join(KINDS)} with B or M, and x y radius or nothing")
    if len(words) == 4:
        return [Lesion(words[1], words[2], words[3])]
    x, y, radius = (int(word) for word in words[4:])
    if not (0 <= x < SIDE_PX and 0 <= y < SIDE_PX and radius > 0):
        raise ValueError(f"expected x and y in 0..{SIDE_PX - 1} and a radius above 0")
    return [Lesion(words[1], words[2], words[3], (x, SIDE_PX - 1 - y), radius)]


def _refuse(folder: Path, faults: list[str], images: int) -> None:
    refuse_faults(folder, faults, f"faults against the published layout mdb<3 digits>.pgm with {INFO}")
    if not images:
        raise DatasetError(f"{folder}: found no image, expected mdb001.pgm …. Unpack the archive again.")
