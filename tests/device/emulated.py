"""The wheel on a processor that is not here: steps, self-test and golden answers under qemu, one process a check.

    python -m tests.device.emulated --arch aarch64 --cpu cortex-a72 --cpu cortex-a76

Needs no board, root or binfmt: Debian's Python and the wheels of that processor lie in a cache folder, and qemu runs
them there. What the checks print goes to stdout, progress to stderr. The exit status is 0 if every check passed, 1 if
one failed, 77 if the machine lacks something that cannot be fetched. How long anything takes here says nothing of a
board.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.device.board import DEBIAN_NAMES, EXTRAS, GLIBC, ROOT, Board, assemble, build, tell, wheels_for
from tests.device.debian import UnavailableError
from tests.device.steps import compare_steps

TFLITE_PYTHONS = ("3.10", "3.11")
SKIPPED = 77
FLOAT = "in float32"
"""How a manifest's names of ways that leave more than eight bits somewhere end."""


def main() -> int:
    """Run the checks that the command line asks for and return the exit status."""
    options = _options()
    options.cache.mkdir(parents=True, exist_ok=True)
    try:
        board = assemble(options.arch, options.suite, options.cache)
        with tempfile.TemporaryDirectory() as name:
            code = build(Path(name))
            failures = list(_replay(board, code, options))
    except UnavailableError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return SKIPPED
    except subprocess.CalledProcessError as error:
        print(f"error: {Path(error.cmd[0]).name} ended with status {error.returncode}, see above.", file=sys.stderr)
        return 1
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    print(f"result    {'FAILED' if failures else 'passed'}")
    return 1 if failures else 0


def departures(
    certificate: dict[str, Any], toolchain: dict[str, str], rounding: frozenset[str] = frozenset()
) -> list[str]:
    """Return what a certificate shows that this project says never differs between processors.

    Tensors never differ. int8 logits of onnxruntime do not where the release is the one that the bundle was made
    with, and all activations have 8 bits. The certificate judges the rest by its own tolerances.

    Args:
        rounding: int8 files some of whose products are added up in floating point (:func:`rounds`).
    """
    found = [] if certificate["passed"] else ["the certificate says that a step failed"]
    same = certificate["machine"]["versions"].get("onnxruntime") == toolchain.get("onnxruntime")
    for check in certificate["checks"]:
        whole = ".int8." in check["subject"] and check["subject"] not in rounding
        exact = check["runtime"] == "onnxruntime" and whole and same
        if check["differing"] and (exact or check["step"] == "tensor"):
            found.append(f"{check['subject']}: {check['differing']} of {check['values']} are not the same bits")
    return found


def rounds(how: str) -> bool:
    """Whether a file quantised in that way adds up some of its products in floating point."""
    return how.endswith(FLOAT)


def _replay(board: Board, code: Path, options: argparse.Namespace) -> Iterator[str]:
    """Run every check of every interpreter on every processor; yield those that failed."""
    for interpreter in options.interpreter:
        if interpreter == "tflite" and board.python not in TFLITE_PYTHONS:
            tell(f"tflite-runtime has no wheel for Python {board.python}: not run")
            continue
        path = (code, wheels_for(board, code, interpreter, options.cache))
        for cpu in options.cpu:
            where = f"{board.machine}-{cpu}-py{board.python}-{interpreter}"
            yield from (f"{where}: {found}" for found in compare_steps(board, cpu, path))
            for bundle in options.bundle or shipped_in(code):
                certificate = options.out / f"{Path(bundle).stem}-{where}.json"
                yield from (f"{where}: {found}" for found in _selftest(board, cpu, bundle, path, certificate))
            yield from (f"{where}: {found}" for found in _golden(board, cpu, path, interpreter))


def _selftest(board: Board, cpu: str, bundle: str, path: Sequence[Path], certificate: Path) -> list[str]:
    """Take one certificate; return what is wrong with it."""
    tell(f"self-test of {bundle} on {cpu}: {certificate.name}")
    certificate.parent.mkdir(parents=True, exist_ok=True)
    certificate.unlink(missing_ok=True)
    print(f"# {certificate.stem}")
    arguments = ["-m", "edge_runtime.cli.bundle", "selftest", bundle, "--json", str(certificate)]
    status = board.run(cpu, arguments, path)
    if not certificate.exists():
        return [f"self-test of {bundle} {_ending(status)} and left no certificate"]
    shipped = path[0] / "edge_runtime" / "bundles" / bundle
    manifest = (shipped if shipped.is_dir() else Path(bundle)) / "bundle.json"
    made = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {"toolchain": {}, "attempts": []}
    rounding = frozenset(way["file"] for way in made["attempts"] if way["passed"] and rounds(way["how"]))
    found = departures(json.loads(certificate.read_text(encoding="utf-8")), made["toolchain"], rounding)
    return found if found or not status else [f"self-test of {bundle} {_ending(status)}"]


def shipped_in(code: Path) -> list[str]:
    """Return the names of the models in an unpacked wheel."""
    return sorted(path.parent.name for path in code.glob("edge_runtime/bundles/*/bundle.json"))


def _golden(board: Board, cpu: str, path: Sequence[Path], interpreter: str) -> list[str]:
    """Run the device tests of the golden answers; return how they ended if they did not pass.

    The wheel always brings LiteRT along; its answers are left to the run that is LiteRT's own.
    """
    tell(f"golden answers on {cpu} with {interpreter}")
    tests = ROOT / "tests" / "device" / "test_golden.py"
    others = " and ".join(f"not {name}" for name in EXTRAS if name != interpreter)
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull]
    arguments += ["--rootdir", str(tests.parent), "--confcutdir", str(tests.parent), "-k", others, str(tests)]
    status = board.run(cpu, arguments, path, EDGE_PREDICT_DEVICE=interpreter)
    return [f"golden answers: pytest {_ending(status)}"] if status else []


def _ending(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _options() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-predict-emulated"
    parser = argparse.ArgumentParser(prog="python -m tests.device.emulated", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=list(DEBIAN_NAMES), default="aarch64")
    parser.add_argument("--cpu", action="append", help="as qemu names it; cortex-a72: Raspberry Pi 4, -a76: Pi 5")
    parser.add_argument("--suite", choices=list(GLIBC), default="bookworm", help="the Debian that gives the Python")
    parser.add_argument("--bundle", action="append", help="folder, zip or name; default: all that ship")
    parser.add_argument("--interpreter", action="append", choices=list(EXTRAS))
    parser.add_argument("--cache", type=Path, default=cache, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="folder for certificates; default: certificates in the cache")
    found = parser.parse_args()
    found.cpu = found.cpu or ["cortex-a72"]
    found.bundle = [str(Path(name).resolve()) if Path(name).exists() else name for name in found.bundle or ()]
    found.interpreter = found.interpreter or list(EXTRAS)
    found.cache = found.cache.resolve()
    found.out = (found.out or found.cache / "certificates").resolve()
    return found


if __name__ == "__main__":
    sys.exit(main())
