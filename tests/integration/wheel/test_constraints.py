"""The lists of wheels: one for each kind of device, whole, within the metadata's bounds, and nothing but hashes."""

from __future__ import annotations

import re
import shlex
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import REMEDY
from tests.device.constraints import ADDED, FOLDER, Kind, kinds

LINE = re.compile(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*) --hash=sha256:([0-9a-f]{64})")
EXTRA = {"litert": None, "onnxruntime": "onnx", "tflite": "tflite", **{name: name for name in ADDED}}
KINDS = list(kinds())


def pinned(path: Path) -> dict[str, str]:
    """Package, normalised → version."""
    rows = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    assert all(rows), path.name
    return {re.sub(r"[-_.]+", "-", row[1]).lower(): row[2] for row in rows if row}


@pytest.fixture
def needed(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode("utf-8")
    return [Requirement(line) for line in Parser().parsestr(text).get_all("Requires-Dist", [])]


def test_there_is_a_list_for_each_kind_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {kind.path.name for kind in KINDS}
    assert len(KINDS) == 34


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.path.stem)
def test_a_list_holds_what_the_metadata_asks_for(kind: Kind, needed: list[Requirement]) -> None:
    found = pinned(kind.path)
    where = {"platform_machine": kind.machine, "python_version": kind.system.python}
    for requirement in needed:
        extra = {"extra": EXTRA[kind.interpreter] or ""}
        plain = requirement.marker is None or requirement.marker.evaluate({**where, "extra": ""})
        asked = requirement.marker is not None and requirement.marker.evaluate({**where, **extra})
        if (plain and kind.interpreter not in ADDED) or (asked and not plain):
            assert Version(found[requirement.name]) in requirement.specifier, str(requirement)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.path.stem)
def test_a_list_names_packages_versions_and_hashes_alone(kind: Kind) -> None:
    head, *lines = kind.path.read_text(encoding="utf-8").splitlines()
    assert head.startswith(f"# {kind.system.name}: {kind.machine}, Python {kind.system.python}, {kind.interpreter}")
    assert all(LINE.fullmatch(line) for line in lines)
    assert lines == sorted(lines, key=str.lower)
    assert "//" not in "".join(lines)


def test_processors_have_the_same_releases_and_different_wheels() -> None:
    for kind in KINDS:
        if kind.machine == "aarch64":
            other = Kind(kind.system, "x86_64", kind.interpreter)
            assert pinned(kind.path) == pinned(other.path), kind.path.name
            assert kind.path.read_text(encoding="utf-8") != other.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.interpreter in ("litert", "onnxruntime")], ids=str)
def test_no_list_but_tflites_holds_a_decoder_with_a_known_fault(kind: Kind) -> None:
    assert Version(pinned(kind.path)["opencv-python-headless"]) >= Version("4.14.0.94")


def test_no_release_is_let_in_that_is_newer_than_those_tried(needed: list[Requirement]) -> None:
    """The next release that is more than a bug fix is refused, whatever the platform."""
    newest = {"numpy": "2.6.0", "opencv-python-headless": "5.1.0.0", "ai-edge-litert": "2.4.0", "onnxruntime": "1.33.0"}
    newest |= {"tflite-runtime": "2.15.0", "click": "8.6.0", "cryptography": "51.0.0"}
    newest |= {"starlette": "1.11.0", "uvicorn": "0.55.0", "prometheus-client": "0.27.0", "python-multipart": "0.1.0"}
    newest |= {
        "openslide-python": "1.5.0",
        "openslide-bin": "4.1.0.1",
        "tifffile": "2026.4.1",
        "imagecodecs": "2026.4.1",
    }
    newest |= {"pydicom": "3.1.0", "highdicom": "0.29.0", "pynetdicom": "3.1.0", "python-gdcm": "3.3.0"}
    newest |= {"pylibjpeg": "2.2.0", "pylibjpeg-openjpeg": "2.7.0"}
    newest |= {"pyarrow": "27.0.0", "fsspec": "2026.10.0", "ray": "2.61.0", "distributed": "2026.9.0"}
    named = set()
    for requirement in needed:
        if not re.search("""['"](dev|docs)['"]""", str(requirement.marker)):
            named.add(requirement.name)
    assert named == set(newest)
    for name, version in newest.items():
        lines = [r for r in needed if r.name == name and "dev" not in str(r.marker)]
        bare = [r for r in lines if Version(version) in r.specifier]
        # a line of an extra may leave the upper bound to the line that always holds
        assert all(
            any(Version(version) not in o.specifier for o in lines if "extra" not in str(o.marker)) for r in bare
        )
        assert any(Version(version) not in r.specifier for r in lines), name


@pytest.mark.parametrize("runtime", REMEDY, ids=lambda runtime: runtime.value)
def test_what_an_error_says_to_install_lies_within_the_metadatas_bounds(
    runtime: Runtime, needed: list[Requirement]
) -> None:
    pip, install, *wanted = shlex.split(REMEDY[runtime])
    assert (pip, install) == ("pip", "install")
    tried = ["1.23.2", "1.32.0", "1.33.0", "1.22.1", "2.0.2", "2.3.0", "2.4.0", "1.4.0", "2.14.0", "2.15.0", "1.26.4"]
    tried += ["2.5.5", "2.6.0", "4.8.0.76", "4.11.0.86", "4.12.0.88", "5.0.0.93", "5.1.0.0"]
    for text in wanted:
        told = Requirement(text)
        lines = [r.specifier for r in needed if r.name == told.name and "dev" not in str(r.marker)]
        for version in map(Version, tried):
            if version in told.specifier and told.name != "numpy":
                assert any(version in specifier for specifier in lines), f"{told.name} {version}"
        assert Version("99") not in told.specifier


def test_the_floors_keep_known_faults_out(needed: list[Requirement]) -> None:
    faulty = {"opencv-python-headless": ["4.8.0.76"], "cryptography": ["46.0.6", "41.0.0"]}
    for requirement in needed:
        if "dev" not in str(requirement.marker) and "<" in str(requirement.specifier).replace("<4.12", ""):
            for version in faulty.get(requirement.name, []):
                assert Version(version) not in requirement.specifier, str(requirement)
    plain = [r for r in needed if r.name == "opencv-python-headless" and "extra" not in str(r.marker)]
    for python in ("3.10", "3.11", "3.12", "3.13"):
        for version in ("4.8.0.76", "4.10.0.84", "4.12.0.88", "4.13.0.92"):
            where = {"platform_machine": "aarch64", "python_version": python}
            lines = [r for r in plain if r.marker and r.marker.evaluate(where)]
            assert len(lines) == 1
            assert Version(version) not in lines[0].specifier
