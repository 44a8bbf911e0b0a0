"""``edge-bundle selftest``: a line a step on stdout, what to do on stderr, and an exit status that a script can use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format
from edge_runtime.cli.selftest import remedy
from edge_runtime.decision.verdict import Decision
from edge_runtime.golden.vectors import GOLDEN, Golden
from edge_runtime.selftest.replay import selftest
from tests.places import ROOT

MODULE = "edge_runtime.cli.bundle"
SCHEMA = json.loads((ROOT / "docs" / "certificate.schema.json").read_text(encoding="utf-8"))
Rewrite = Callable[[Path, Callable[[Golden], Golden]], None]


def flipped(golden: Golden) -> Golden:
    """The same vectors with the first decision of the ONNX files turned."""
    row = list(golden.decisions[Format.ONNX])
    row[0] = Decision.NEGATIVE if row[0] is not Decision.NEGATIVE else Decision.POSITIVE
    return replace(golden, decisions=golden.decisions | {Format.ONNX: tuple(row)})


def test_a_test_that_passes_prints_a_line_a_step_and_file(edge_bundle: Any, phantom_bundle: Path) -> None:
    result = edge_bundle("selftest", phantom_bundle)
    assert (result.exit_code, result.stderr) == (0, "")
    heads = [line.split()[0] for line in result.stdout.splitlines()]
    assert heads[:4] == ["bundle", "machine", "software", "tensor"]
    assert (heads.count("logits"), heads.count("decision"), heads[-1]) == (5, 2, "result")
    for file in ("model.int8.tflite on litert", "model.float32.onnx on onnxruntime"):
        (line,) = [line for line in result.stdout.splitlines() if file in line]
        assert " same (" in line or " differs in " in line  # float32 is rounded otherwise on another processor
    assert result.stdout.splitlines()[-1].startswith("result    passed, 20")


def test_a_zipped_bundle_is_tested_as_its_folder_is(edge_bundle: Any, phantom_bundle: Path, tmp_path: Path) -> None:
    path = shutil.make_archive(str(tmp_path / "bundle"), "zip", phantom_bundle)
    assert edge_bundle("selftest", path).exit_code == 0


def test_a_decision_that_differs_leaves_with_1_and_says_which_and_what_to_do(
    edge_bundle: Any, bundle_copy: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    rewrite(bundle_copy, flipped)
    result = edge_bundle("selftest", bundle_copy, "--json", tmp_path / "certificate.json")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "failed: pictures on onnxruntime: DIFFERS: 1 of 10 decisions, the first of phantom-malignant."
    )
    assert "Do not use the answers" in line
    assert find(bundle_copy).manifest.toolchain["onnxruntime"] in line
    assert "result    FAILED" in result.stdout
    certificate = json.loads((tmp_path / "certificate.json").read_text(encoding="utf-8"))
    assert certificate["passed"] is False, "a certificate of a failure is written too"


def test_a_tensor_that_differs_says_which_versions_made_the_bundle(bundle_copy: Path, rewrite: Rewrite) -> None:
    rewrite(bundle_copy, lambda golden: replace(golden, samples=golden.samples + 1))
    rewrite(bundle_copy, lambda golden: replace(golden, digests=golden.digests ^ 1))
    bundle = find(bundle_copy)
    (check,) = selftest(bundle).failed()
    text = remedy(check, bundle.manifest)
    assert f"numpy {bundle.manifest.toolchain['numpy']} and" in text


def test_the_certificate_fits_its_schema(edge_bundle: Any, phantom_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    assert edge_bundle("selftest", "--json", path, phantom_bundle).exit_code == 0
    certificate = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(certificate)
    assert certificate["passed"] is True


def test_what_cannot_be_trusted_leaves_with_3(edge_bundle: Any, bundle_copy: Path) -> None:
    single = edge_bundle("selftest", bundle_copy / "model.int8.tflite")
    assert (single.exit_code, single.stdout) == (3, "")
    assert single.stderr.startswith("error [golden_missing]: ")
    data = bytearray((bundle_copy / GOLDEN).read_bytes())
    data[-200] ^= 4
    (bundle_copy / GOLDEN).write_bytes(bytes(data))
    damaged = edge_bundle("selftest", bundle_copy)
    assert (damaged.exit_code, damaged.stdout) == (3, "")
    assert damaged.stderr.startswith(f"error [integrity]: {bundle_copy}: golden.npz has SHA-256 ")


@pytest.mark.parametrize("place", ["missing/certificate.json", "."])
def test_a_certificate_that_cannot_be_written_leaves_with_2(
    place: str, edge_bundle: Any, phantom_bundle: Path, tmp_path: Path
) -> None:
    result = edge_bundle("selftest", phantom_bundle, "--json", tmp_path / place)
    assert (result.exit_code, result.stdout) == (2, "")


def test_in_a_process_the_answer_is_on_stdout_alone(process: Any, phantom_bundle: Path) -> None:
    done = process(MODULE, "selftest", phantom_bundle)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[-1].startswith(b"result    passed")
