"""What the emulated checks decide without an emulator: which mirror, which qemu, which wheels, what may differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.quantisation.schemes import LADDER
from tests.device import debian, emulated
from tests.device.board import Board
from tests.device.steps import opencv_in, step_table

TARGETS = """\
nodistro main https://other.example/node
bookworm-updates main http://mirror.example/debian/
bookworm contrib http://mirror.example/debian/
bookworm main http://mirror.example/debian/
"""


def test_the_mirror_is_the_one_that_serves_the_machines_own_debian() -> None:
    assert debian.mirror_in(TARGETS, "bookworm") == "http://mirror.example/debian/"
    assert debian.mirror_in(TARGETS, "noble") is None


@pytest.mark.parametrize("line, expected", [("qemu-aarch64 version 10.0.13 (Debian)", 10), ("no qemu", 0)])
def test_the_emulators_major_version_is_read(tmp_path: Path, line: str, expected: int) -> None:
    program = tmp_path / "qemu"
    program.write_text(f"#!/bin/sh\necho '{line}'\n")
    program.chmod(0o755)
    assert debian.emulator_version(str(program)) == expected


def test_an_older_qemu_on_the_path_is_passed_over_for_the_one_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "qemu-aarch64-trixie" / "usr" / "bin" / "qemu-aarch64"
    for program, version in ((tmp_path / "bin" / "qemu-aarch64", "7.2.1"), (kept, "10.0.1")):
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho qemu-aarch64 version {version}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert debian.emulator("aarch64", tmp_path) == kept


def test_without_apt_the_message_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.UnavailableError, match=r"apt-get; install Debian's package apt"):
        debian.python_root("bookworm", "arm64", tmp_path)
    assert not list(tmp_path.iterdir())


def test_pip_is_told_every_platform_that_the_boards_glibc_runs_and_none_that_it_does_not() -> None:
    options = Board("aarch64", Path("qemu"), Path("root"), "3.11", glibc=36).tags()
    assert {"manylinux_2_36_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "cp311"} <= set(options)
    assert "manylinux_2_37_aarch64" not in options


def test_every_model_in_the_wheel_is_tested_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b", "a", "c.part"):
        (tmp_path / "edge_runtime" / "bundles" / name).mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "edge_runtime" / "bundles" / name / "bundle.json").write_text("{}")
    assert emulated.shipped_in(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    "step, subject, runtime, differs",
    [
        ("tensor", "pictures", None, True),
        ("logits", "model.int8.onnx", "onnxruntime", True),
        ("logits", "model.float32.onnx", "onnxruntime", False),
        ("logits", "model.int8.tflite", "tflite", False),
    ],
)
def test_only_tensors_and_onnxruntimes_int8_must_be_the_same_bits(
    step: str, subject: str, runtime: str | None, differs: bool
) -> None:
    check = {"step": step, "subject": subject, "runtime": runtime, "values": 20, "differing": 1}
    assert bool(emulated.departures(certificate(check), {"onnxruntime": "1.31.1"})) is differs
    assert not emulated.departures(certificate(check | {"differing": 0}), {"onnxruntime": "1.31.1"})


def test_another_release_of_onnxruntime_may_round_otherwise() -> None:
    check = {"step": "logits", "subject": "m.int8.onnx", "runtime": "onnxruntime", "values": 20, "differing": 1}
    assert not emulated.departures(certificate(check), {"onnxruntime": "1.23.2"})


def test_a_file_that_rounds_in_floating_point_may_do_so_otherwise() -> None:
    check = {"step": "logits", "subject": "m.int8.onnx", "runtime": "onnxruntime", "values": 20, "differing": 1}
    toolchain = {"onnxruntime": "1.31.1"}
    assert not emulated.departures(certificate(check), toolchain, frozenset({"m.int8.onnx"}))
    assert emulated.departures(certificate(check), toolchain, frozenset({"other.int8.onnx"}))


def test_ways_that_round_in_floating_point_are_named_as_the_exporter_does() -> None:
    for how in LADDER:
        assert emulated.rounds(how.text()) is how.keeps_layers, how.text()


def certificate(check: dict[str, Any]) -> dict[str, Any]:
    return {"passed": True, "machine": {"versions": {"onnxruntime": "1.31.1"}}, "checks": [check]}


def test_a_step_that_must_be_the_same_bits_fails_by_one_bit_and_opencvs_own_within_their_limit() -> None:
    ones = np.ones((2, 2, 1), dtype=np.float32)
    native = {"nearest uint8, shrunk": ones, "linear uint8, shrunk": ones}
    assert step_table(native, native)[1] == []
    assert step_table(native, native | {"linear uint8, shrunk": ones * 2})[1] == []
    assert len(step_table(native, native | {"linear uint8, shrunk": ones * 3})[1]) == 1
    (failure,) = step_table(native, native | {"nearest uint8, shrunk": np.nextafter(ones, np.float32(2))})[1]
    assert failure.startswith("step nearest uint8, shrunk differs in 100 % of values")
    assert step_table(native, native | {"nearest uint8, shrunk": ones * np.nan})[1]


def test_the_boards_opencv_is_read_from_what_pip_laid_down(tmp_path: Path) -> None:
    (tmp_path / "opencv_python_headless-5.0.0.93.dist-info").mkdir()
    assert opencv_in(tmp_path) == "5.0.0.93"
    assert opencv_in(tmp_path / "elsewhere") is None
