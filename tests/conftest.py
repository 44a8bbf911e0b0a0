"""What many tests share: phantoms, a network fitted on them, its bundle, and the published images.

Each is made once, by the worker that needs it first; the others wait for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT.parent / "shared"
CALIBRATION_PICTURES = 96

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # tests that import onnxruntime themselves send nothing either

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # what a script starts with & ignores Ctrl-C, and so would every program that these tests start and interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and what nohup starts, the order to reload
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

Change = Callable[[dict[str, Any]], object]
Once = Callable[[str, Callable[[Path], object]], Path]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process in at a time."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return a function that has a folder filled, once for all workers of this run, and gives its path."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own  # each worker has a folder of its own below

    def filled(name: str, fill: Callable[[Path], object]) -> Path:
        folder = root / name
        with _alone(root / f"{name}.lock"):
            if not folder.exists():
                unfinished = tmp_path_factory.mktemp(name)
                fill(unfinished)
                unfinished.rename(folder)
        return folder

    return filled


@pytest.fixture(autouse=True)
def _no_store_of_this_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed or chosen on the developer's machine decides no test."""
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path_factory.getbasetemp() / "no-models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    for variable in ("EDGE_TRUSTED_KEY", "EDGE_PREDICT_MODEL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def phantom_data(once: Once) -> Path:
    """A folder with 20 made-up patients of 16 patches each, in the published IDC layout."""
    from training.data.datasets.phantoms import PhantomSet, write

    return once("phantoms", lambda folder: write(PhantomSet(patients=20, patches_per_patient=16, seed=0), folder))


@pytest.fixture(scope="session")
def phantom_artifact(phantom_data: Path, once: Once) -> Path:
    """The training artifact of recipe phantom-patch after a dozen epochs."""
    from training.fitting.fit import fit
    from training.recipes import find_recipe

    recipe = find_recipe("phantom-patch")
    return (
        once("artifact", lambda folder: fit(recipe, phantom_data, folder / recipe.spec.name, epochs=12))
        / recipe.spec.name
    )


@pytest.fixture(scope="session")
def phantom_bundle(phantom_data: Path, phantom_artifact: Path, once: Once) -> Path:
    """The exported bundle; read only. Tests that alter one take ``bundle_copy``."""
    from export.pipeline import export
    from training.artifact import Artifact
    from training.fitting.calibration_samples import write_samples

    def fill(folder: Path) -> None:
        write_samples(phantom_artifact, phantom_data, folder / "samples" / "samples.csv", CALIBRATION_PICTURES)
        export(Artifact(phantom_artifact), folder / "samples", phantom_data, folder / "phantom-patch", float16=True)

    return once("bundle", fill) / "phantom-patch"


@pytest.fixture
def bundle_copy(phantom_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return shutil.copytree(phantom_bundle, tmp_path / "copy" / phantom_bundle.name)


@pytest.fixture
def edited_bundle(bundle_copy: Path) -> Callable[[Change], Path]:
    """Return a function that changes ``bundle.json`` as plain JSON and gives the bundle's folder."""

    def edit(change: Change) -> Path:
        path = bundle_copy / "bundle.json"
        value = json.loads(path.read_text(encoding="utf-8"))
        before = json.dumps(value["spec"])
        change(value)
        if (
            isinstance(value, dict) and json.dumps(value.get("spec")) != before
        ):  # the golden vectors are another model's
            value["files"] = [entry for entry in value.get("files", []) if entry.get("role") != "golden"]
            (bundle_copy / "golden.npz").unlink(missing_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
        return bundle_copy

    return edit


@pytest.fixture(scope="session")
def phantom_patches(phantom_data: Path) -> list[Path]:
    """All phantom pictures, in order of their names."""
    return sorted(phantom_data.rglob("*.png"))


@pytest.fixture(scope="session")
def published(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return a function from a data set's name to the folder that holds its published layout."""
    unpack = PUBLISHED / "bin" / "unpack-data"
    if not unpack.is_file():
        pytest.skip("the published images are not beside this checkout (../shared/bin/unpack-data)")
    root = request.config.cache.mkdir("published")

    def folder(name: str) -> Path:
        with _alone(root / f"{name}.lock"):
            subprocess.run([sys.executable, str(unpack), str(root), name], check=True, capture_output=True, timeout=600)
        return root / name

    return folder


@pytest.fixture(scope="session")
def shared_idc(published: Callable[[str], Path]) -> Path:
    """The published IDC patches."""
    return published("idc")
