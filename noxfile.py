"""Every check, by name: ``nox -l`` lists them, ``nox`` runs those that need no further interpreter.

lint, types and tests run in the environment that nox itself is in (the extra ``dev``), activated or not.
A device session builds the wheel, installs it into an empty environment with one interpreter, and runs
``tests/device`` there: TensorFlow is not importable in it. The emulated sessions do so on Arm processors that are not
here; they take many minutes each, so plain ``nox`` runs ``arm`` alone, a small share of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests", "device", "arm"]
nox.options.error_on_missing_interpreters = False

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
INTERPRETERS = {
    "litert": "",
    "onnxruntime": "[onnx]",
    "tflite": "[tflite]",
}
DEFAULT = "idc-patch-compact"  # the model that answers where none is named
MUTATION = (
    *("mutmut>=3.8,<4", "pytest>=9", "hypothesis>=6.150", "pillow>=11", "jsonschema>=4.23"),
    *("click", "numpy", "opencv-python-headless", "ai-edge-litert", "onnxruntime", "cryptography"),
)
"""No TensorFlow, and not the wheel, which would be tested in place of the changed copy."""
MUTATED_COPY = ("edge_runtime", "export", "training", "tests", "docs", "pyproject.toml", "README.md", "CHANGELOG.md")
TWO_FILES_AT_A_TIME = ("-n", "2", "--dist", "loadfile", "--max-worker-restart", "2")
UNIT = ("tests/unit", "-p", "tests.without_tensorflow")
LACKING = 77  # what tests.device.emulated exits with where qemu or Debian's packages cannot be had


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Format, style, docstrings, banned imports."""
    session.run(sys.executable, "-m", "ruff", "format", "--check", ".")
    session.run(sys.executable, "-m", "ruff", "check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Strict mypy over the three packages."""
    session.run(sys.executable, "-m", "mypy")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """All tests, two files at a time, with the floor of branch coverage; without the published images some skip."""
    _pytest(session, *UNIT, "--cov")
    _pytest(session, "tests", "--ignore=tests/unit", *session.posargs)


@nox.session(venv_backend="none")
def unit(session: nox.Session) -> None:
    """The runtime's unit tests, without TensorFlow: a minute."""
    _pytest(session, *UNIT, *session.posargs)


@nox.session(venv_backend="none")
def integration(session: nox.Session) -> None:
    """Tests that start processes, read hostile files, fit, export or build the wheel."""
    _pytest(session, "tests/integration", *session.posargs)


@nox.session(venv_backend="none")
def parity(session: nox.Session) -> None:
    """The device's answers against the Keras model's and the original programs'."""
    _pytest(session, "tests/parity", *session.posargs)


def _pytest(session: nox.Session, *arguments: str) -> None:
    session.run(sys.executable, "-m", "pytest", *TWO_FILES_AT_A_TIME, *arguments)


@nox.session(venv_backend="none")
def fuzz(session: nox.Session) -> None:
    """The fuzz, long: ``nox -s fuzz -- 50000`` draws as many examples for each of its tests."""
    count = session.posargs[0] if session.posargs else "20000"
    environment = {**os.environ, "EDGE_FUZZ_EXAMPLES": count}
    files = "tests/integration/hostile/test_fuzz.py", "tests/integration/serving/test_limits.py"
    session.run(sys.executable, "-m", "pytest", "-q", *files, env=environment)


@nox.session(venv_backend="venv")
@nox.parametrize("interpreter", list(INTERPRETERS))
def device(session: nox.Session, interpreter: str) -> None:
    """The wheel in an empty environment of this Python, without TensorFlow."""
    _device(session, interpreter)


@nox.session(venv_backend="venv", python=["3.10", "3.11", "3.12", "3.13"])
@nox.parametrize("interpreter", list(INTERPRETERS))
def boards(session: nox.Session, interpreter: str) -> None:
    """The same on every Python that devices have; missing ones are skipped."""
    _device(session, interpreter)


@nox.session(venv_backend="venv", python=["3.10", "3.11", "3.12", "3.13"])
def constraints(session: nox.Session) -> None:
    """Write docs/constraints again: the wheels of each kind of device, by the Python that the device has."""
    session.run("python", "-m", "tests.device.constraints")


@nox.session(venv_backend="none")
def site(session: nox.Session) -> None:
    """The documentation as a site, in ``site``: open site/index.html."""
    session.run(sys.executable, "-m", "mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(venv_backend="none")
def sbom(session: nox.Session) -> None:
    """The wheel's bill of materials, in ``dist``, held against the wheel and the standard's own schema."""
    session.run(sys.executable, "-m", "build", "--wheel", "--outdir", "dist", ".", silent=True)
    wheel = max(Path("dist").glob("edge_predict-*.whl"), key=lambda path: path.stat().st_mtime)
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".cdx.json")]
        Path("dist", Path(name).name).write_bytes(archive.read(name))
    session.run(sys.executable, "-m", "pytest", "-q", "tests/integration/wheel/test_sbom.py")


@nox.session(venv_backend="venv")
def mutants(session: nox.Session) -> None:
    """Which changed lines no test notices, on the rules that decide: ``nox -s mutants -- 'edge_runtime.decision.*'``.

    It works on a copy in the session's own folder, which remembers what was tried; an hour and more if all are new.
    """
    session.install(*MUTATION)
    copy = Path(session.create_tmp()).resolve() / "checkout"
    for name in MUTATED_COPY:
        if Path(name).is_dir():
            shutil.copytree(name, copy / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(name, copy / name)
    log = copy / "mutmut.log"  # it draws its progress thousands of times
    session.chdir(copy)
    with log.open("w", encoding="utf-8") as output:
        session.run("mutmut", "run", *session.posargs, stdout=output, stderr=subprocess.STDOUT)
    survivors = [
        line.split(":")[0].strip()
        for line in str(session.run("mutmut", "results", silent=True)).splitlines()
        if not line.strip().endswith(("killed", "not checked")) and ": " in line
    ]
    for name in survivors:
        print(session.run("mutmut", "show", name, silent=True))
    print(f"{len(survivors)} survive")


@nox.session(venv_backend="none")
def arm(session: nox.Session) -> None:
    """The wheel's default model on an emulated Raspberry Pi 4."""
    _emulated(session, "cortex-a72", "--interpreter", "onnxruntime", "--bundle", DEFAULT)


@nox.session(venv_backend="none")
@nox.parametrize("cpu", ["cortex-a72", "cortex-a76", "Haswell"])
def emulated(session: nox.Session, cpu: str) -> None:
    """The wheel under qemu as on a Raspberry Pi 4, a 5, and an x86-64 without VNNI; all models and interpreters."""
    _emulated(session, cpu, *(["--arch", "x86_64"] if cpu == "Haswell" else []))


def _emulated(session: nox.Session, cpu: str, *options: str) -> None:
    command = [sys.executable, "-m", "tests.device.emulated", "--cpu", cpu, *options, *session.posargs]
    status = subprocess.run(command, check=False).returncode
    if status == LACKING:
        session.skip("qemu, Debian's Python for arm64 or a tool that fetches them cannot be had; named above")
    if status != 0:
        session.error(f"a check failed on {cpu}; named above")


def _device(session: nox.Session, interpreter: str) -> None:
    python = session.python if isinstance(session.python, str) else HERE
    if interpreter == "tflite" and python not in ("3.10", "3.11"):
        session.skip("tflite-runtime has no wheel for this Python")
    wheels = Path(session.create_tmp()) / "wheels"
    session.run("python", "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(wheels), ".")
    wheel = max(wheels.glob("edge_predict-*.whl"), key=lambda path: path.stat().st_mtime)
    session.install(f"{wheel}{INTERPRETERS[interpreter]}", "pytest")
    environment = {**os.environ, "EDGE_PREDICT_DEVICE": interpreter, "EDGE_MODELS": str(wheels.with_name("no-models"))}
    # From another folder, so that the installed wheel is tested and not the checkout.
    shipped = sorted(path.parent.name for path in Path("edge_runtime", "bundles").glob("*/bundle.json"))
    tests_here = str(Path("tests", "device").resolve())
    session.chdir(session.create_tmp())
    for name in shipped:
        session.run("edge-bundle", "verify", name)
        session.run("edge-bundle", "selftest", name)
    # Without tests/conftest.py, whose fixtures import the checkout.
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull, "--confcutdir", tests_here]
    session.run("python", "-m", "pytest", *options, tests_here, env=environment)
