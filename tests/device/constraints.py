"""One list of wheels, with their hashes, for each kind of device whose Python is this one's version.

    python -m tests.device.constraints

pip resolves the wheel's own metadata for the device's processor and C library, and downloads nothing that it does not
need to read. What it chose goes to ``docs/constraints``, a wheel a line; where it came from does not. Dependencies may
depend on the version of Python, by markers that pip takes from the Python it runs in: so each list is made by its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.device.board import EXTRAS, ROOT, Board

FOLDER = ROOT / "docs" / "constraints"
ADDED = ("sign", "serve")
"""Extras whose lists hold only what they add to a device that has an interpreter."""


@dataclass(frozen=True)
class System:
    """An operating system of boards: its Python, and the minor number of its C library, 2.x."""

    name: str
    python: str
    glibc: int


SYSTEMS = (
    System("Ubuntu 22.04, JetPack 6", "3.10", 35),
    System("Debian 12, Raspberry Pi OS 12", "3.11", 36),
    System("Ubuntu 24.04, JetPack 7", "3.12", 39),
    System("Debian 13, Raspberry Pi OS 13", "3.13", 41),
)
MACHINES = ("x86_64", "aarch64")
PYTHONS = {"tflite": ("3.10", "3.11"), "serve": ("3.11", "3.12", "3.13")}
"""Where not all: tflite-runtime has no later wheels; Starlette 1.8 and later need Python 3.11."""


@dataclass(frozen=True)
class Kind:
    """What a list is for: an interpreter, or one of the extras ADDED, on one system and processor."""

    system: System
    machine: str
    interpreter: str

    @property
    def path(self) -> Path:
        """Where the list lies."""
        return FOLDER / f"{self.machine}-{self.interpreter}-py{self.system.python.replace('.', '')}.txt"


def kinds() -> Iterator[Kind]:
    """Yield every kind of device for which wheels exist."""
    for system in SYSTEMS:
        for machine in MACHINES:
            for interpreter in (*EXTRAS, *ADDED):
                if system.python in PYTHONS.get(interpreter, (system.python,)):
                    yield Kind(system, machine, interpreter)


def resolve(kind: Kind, wheel: Path) -> list[str]:
    """Return a line ``name==version --hash=sha256:…`` for each wheel that the kind needs, by name.

    Raises:
        subprocess.CalledProcessError: pip found no such set of wheels; it has said why.
    """
    board = Board(kind.machine, Path(), Path(), kind.system.python, kind.system.glibc)
    added = kind.interpreter in ADDED
    found = _resolved(f"{wheel}[{kind.interpreter}]" if added else f"{wheel}{EXTRAS[kind.interpreter]}", board)
    if added:
        plain = _resolved(str(wheel), board)
        found = {name: line for name, line in found.items() if name not in plain}
    return [found[name] for name in sorted(found)]


def _resolved(wanted: str, board: Board) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        options = ["--dry-run", "--ignore-installed", "--target", name, "--report", str(report), *board.tags()]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *options, wanted]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        told = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines = {}
    for package in told:
        metadata, archive = package["metadata"], package["download_info"]["archive_info"]
        if metadata["name"] != "edge-predict":
            digest = archive["hashes"]["sha256"]
            lines[metadata["name"].lower()] = f"{metadata['name']}=={metadata['version']} --hash=sha256:{digest}"
    return lines


def main() -> None:
    """Write the lists of this Python's version."""
    FOLDER.mkdir(exist_ok=True)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    with tempfile.TemporaryDirectory() as name:
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", name, str(ROOT)]
        subprocess.run(build, check=True, stdout=sys.stderr)
        (wheel,) = Path(name).glob("edge_predict-*.whl")
        for kind in kinds():
            if kind.system.python == here:
                what = f"{kind.machine}, Python {here}, {kind.interpreter}"
                head = f"# {kind.system.name}: {what}: docs/tutorials/raspberry-pi.md\n"
                kind.path.write_text(head + "".join(f"{line}\n" for line in resolve(kind, wheel)), encoding="utf-8")
                print(kind.path.relative_to(ROOT))


if __name__ == "__main__":
    main()
