"""A foreign processor's Python with the wheels that run on it, and one process there at a time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.device.debian import emulator, python_root

ROOT = Path(__file__).resolve().parents[2]
DEBIAN_NAMES = {"aarch64": "arm64", "x86_64": "amd64"}
GLIBC = {"bookworm": 36, "trixie": 41}  # 2.x
EXTRAS = {"litert": "", "onnxruntime": "[onnx]", "tflite": "[tflite]"}
LONGEST_S = 1800
TIMED_OUT = 124  # as timeout(1)


@dataclass(frozen=True)
class Board:
    """A Python for another processor, and the qemu that runs it.

    Attributes:
        machine: as the kernel calls the architecture.
        root: the folder that stands for ``/``.
        python: ``3.11``, as found in ``root``.
    """

    machine: str
    emulator: Path
    root: Path
    python: str
    glibc: int

    def run(self, cpu: str, arguments: Sequence[str], path: Sequence[Path], **variables: str) -> int:
        """Run Python with ``arguments`` on ``cpu`` and return its exit status; a signal's number is negative.

        What runs longer than ``LONGEST_S`` is killed and answers ``TIMED_OUT``.

        It starts in the first folder of ``path``, so that ``-m`` finds the wheel's modules and not the checkout's.
        """
        inside = {"PATH": "/usr/bin", "HOME": "/tmp", "OMP_NUM_THREADS": "1", "PYTHONHOME": str(self.root / "usr")}
        inside |= {"XDG_CACHE_HOME": os.devnull}  # what was found on another processor is no finding here
        inside |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONNOUSERSITE": "1", **variables}
        python = self.root / "usr" / "bin" / f"python{self.python}"
        command = [str(self.emulator), "-cpu", cpu, "-L", str(self.root), str(python), *arguments]
        sys.stdout.flush()
        try:
            return subprocess.run(command, env=inside, cwd=path[0], check=False, timeout=LONGEST_S).returncode
        except subprocess.TimeoutExpired:
            return TIMED_OUT

    def tags(self) -> list[str]:
        """Return the options that make pip choose wheels for this board: it expands no tag by itself."""
        abis = [f"cp{self.python.replace('.', '')}", "abi3", "none"]
        platforms = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, 16, -1)]
        platforms += [f"manylinux2014_{self.machine}", "any"]
        options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.python]
        options += [word for abi in abis for word in ("--abi", abi)]
        return options + [word for name in platforms for word in ("--platform", name)]


def assemble(machine: str, suite: str, cache: Path) -> Board:
    """Return the board of one architecture with one Debian's Python; what is not in the cache is fetched.

    Raises:
        UnavailableError: the emulator or the Python cannot be had here.
    """
    program = emulator(machine, cache)
    root = python_root(suite, DEBIAN_NAMES[machine], cache)
    (python,) = {path.name.removeprefix("python") for path in (root / "usr" / "bin").glob("python3.[0-9]*[0-9]")}
    return Board(machine, program, root, python, GLIBC[suite])


def build(folder: Path) -> Path:
    """Build the wheel and unpack it; return the folder that holds ``edge_runtime``."""
    tell("building the wheel")
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("edge_predict-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


def wheels_for(board: Board, code: Path, interpreter: str, cache: Path) -> Path:
    """Return a folder with all that the wheel needs on the board, by the wheel's own metadata."""
    (wheel,) = code.parent.glob("edge_predict-*.whl")
    (metadata,) = code.glob("edge_predict-*.dist-info/METADATA")
    needs = [line for line in metadata.read_text(encoding="utf-8").splitlines() if line.startswith("Requires-")]
    digest = hashlib.sha256("\n".join([*needs, *board.tags()]).encode()).hexdigest()[:12]
    site = cache / f"site-{interpreter}-{board.machine}-py{board.python}-{digest}"
    if not site.exists():
        tell(f"fetching wheels of {interpreter} for {board.machine}, Python {board.python}")
        with tempfile.TemporaryDirectory(dir=cache, prefix="site-") as name:
            part = Path(name) / "site-packages"
            _pip("install", "--target", str(part), *board.tags(), f"{wheel}{EXTRAS[interpreter]}", "pytest")
            part.replace(site)
    return site


def tell(message: str) -> None:
    """Say on stderr what goes on."""
    print(message, file=sys.stderr, flush=True)


def _pip(command: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", command, "-q", *arguments], check=True, stdout=sys.stderr)
