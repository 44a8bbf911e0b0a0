"""The committed test vectors are what the package computes, and a reimplementation in C++ reproduces them."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.debian_packages import need
from tests.integration.examples.test_cpp import build
from tests.places import ROOT
from tests.vectors.regenerate import ALL, FOLDER, written

BUNDLES = ROOT / "edge_runtime" / "bundles"
MOST_BYTES = 100_000


def same(found: Any, expected: Any) -> bool:
    """Whether two JSON values are equal; floats, which exp and log give, to 1e-12."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12)
    return type(found) is type(expected) and bool(found == expected)


@pytest.mark.parametrize("name", ALL)
def test_the_committed_vectors_are_what_the_package_computes(name: str, tmp_path: Path) -> None:
    committed = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    assert same(json.loads(written(name, tmp_path).read_text("utf-8")), committed)
    names = [vector["name"] for vector in committed["vectors"]]
    assert len(set(names)) == len(names)


def test_the_vectors_are_few_and_small() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(ALL)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("cmake", "g++", "make", "nlohmann-json3-dev")
    return build(tmp_path_factory.mktemp("vectors"), "-DEDGE_CLIENT=OFF") / "check-vectors"


def checked(checker: Path, vectors: Path, bundles: Path = BUNDLES) -> subprocess.CompletedProcess[str]:
    return subprocess.run([checker, vectors, bundles], capture_output=True, text=True, check=False, timeout=120)


def test_a_reimplementation_in_cpp_reproduces_all_of_them(checker: Path) -> None:
    done = checked(checker, FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"^(\w+): (\d+) of (\d+) equal$", done.stdout, re.MULTILINE)
    assert {name for name, _, _ in counts} == set(ALL)
    assert sum(int(equal) for _, equal, _ in counts) > 100


KEYS = {
    "steps": ("result", "values", -1),
    "regions": ("result", "values", 0),
    "statistics": ("statistics", 25),
    "quantisation": ("levels", 3),
    "network_features": ("share",),
    "decisions": ("verdict", "margin"),
    "cases": ("reason",),
    "models": ("tensor_sha256",),
}
"""A place in each vector that a reimplementation computes."""


def altered(value: Any) -> Any:
    """Another value, as little apart as the file can say."""
    if isinstance(value, float):
        return value + 1e-9
    return value + 1 if isinstance(value, int) else f"{value[:-1]}{'0' if value[-1] != '0' else '1'}"


@pytest.mark.parametrize("name", ALL)
def test_every_vector_is_compared(checker: Path, name: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "vectors")
    path = tmp_path / "vectors" / f"{name}.json"
    document = json.loads(path.read_text("utf-8"))
    for vector in document["vectors"]:
        place, last = vector, KEYS[name][-1]
        if "refused" in vector:
            last = "refused"
        else:
            for key in KEYS[name][:-1]:
                place = place[key]  # type: ignore[index]
        place[last] = altered(place[last])  # type: ignore[index]
    path.write_text(json.dumps(document))
    done = checked(checker, tmp_path / "vectors")
    assert done.returncode == 1
    assert f"{name}: 0 of {len(document['vectors'])} equal" in done.stdout
