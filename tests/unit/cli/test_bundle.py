"""``edge-bundle``: what a model is, and whether it is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import __version__
from edge_runtime.bundle import bundle
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.serialisation.records import from_dict

MODULE = "edge_runtime.cli.bundle"
MODEL_FILES = 5  # TFLite in int8, float16 and float32, ONNX in int8 and float32


def test_list_shows_the_models_that_ship(
    edge_bundle: Any, phantom_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(phantom_bundle, tmp_path / "phantom-patch")
    monkeypatch.setattr(bundle, "SHIPPED", tmp_path)
    result = edge_bundle("list")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("phantom-patch 1.0.0  Synthetic")
    assert edge_bundle("info", "phantom-patch").exit_code == 0


def test_list_says_of_every_model_that_ships_what_image_it_is_for(edge_bundle: Any) -> None:
    lines = edge_bundle("list").stdout.splitlines()
    specs = [find(Path(bundle.SHIPPED, name)).manifest.spec for name in bundle.shipped()]
    assert lines == [f"{spec.name} {spec.version}  {spec.summary}  (shipped, current)" for spec in specs]
    assert len({spec.name for spec in specs}) == len(specs) >= 1


def test_list_without_any_model_is_empty(edge_bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "SHIPPED", tmp_path)
    assert (edge_bundle("list").exit_code, edge_bundle("list").output) == (0, "")


def test_info_shows_what_a_person_asks_for(edge_bundle: Any, phantom_bundle: Path) -> None:
    manifest = find(phantom_bundle).manifest
    result = edge_bundle("info", phantom_bundle)
    assert (result.exit_code, result.stderr) == (0, "")
    wanted = ["phantom-patch 1.0.0", "benign, malignant (positive: malignant)", "cut-off 0.5", manifest.contract]
    wanted += [entry.name for entry in manifest.files] + ["trained on", "split", "measured", "auroc"]
    missing = [word for word in wanted if word not in result.stdout]
    assert not missing, f"{missing} not in:\n{result.stdout}"


def test_info_of_a_single_model_file_shows_its_spec(edge_bundle: Any, phantom_bundle: Path) -> None:
    result = edge_bundle("info", phantom_bundle / "model.int8.onnx")
    assert result.exit_code == 0
    assert find(phantom_bundle).manifest.contract in result.stdout
    assert "trained on" not in result.stdout


def test_info_as_json_is_the_manifest(edge_bundle: Any, phantom_bundle: Path) -> None:
    result = edge_bundle("info", "--json", phantom_bundle)
    assert result.exit_code == 0
    value = json.loads(result.stdout)
    assert value == json.loads((phantom_bundle / "bundle.json").read_text(encoding="utf-8"))
    assert from_dict(Manifest, value) == find(phantom_bundle).manifest


def test_verify_counts_the_files_of_a_whole_bundle(edge_bundle: Any, phantom_bundle: Path) -> None:
    result = edge_bundle("verify", phantom_bundle)
    assert (result.exit_code, result.stderr) == (0, "")
    shares = find(phantom_bundle).manifest.quantised or ()
    lines = [f"{phantom_bundle}: 8 files are the ones that bundle.json names."]
    assert result.stdout.splitlines() == lines + [f"{row.file}: {row.text()}." for row in shares]
    assert len(shares) == MODEL_FILES


def test_verify_names_the_file_that_was_altered(edge_bundle: Any, bundle_copy: Path) -> None:
    with (bundle_copy / "MODEL_CARD.md").open("a", encoding="utf-8") as card:
        card.write("\nBetter than any radiologist.\n")
    result = edge_bundle("verify", bundle_copy)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"error [integrity]: {bundle_copy}: MODEL_CARD.md has ")


@pytest.mark.parametrize("command", ["info", "verify"])
def test_what_is_no_bundle_leaves_with_3(command: str, edge_bundle: Any, tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "missing", "no-such-model"):
        result = edge_bundle(command, name)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith("error [bundle_not_found]: ")


def test_a_command_line_that_cannot_be_used_leaves_with_2(edge_bundle: Any) -> None:
    for arguments in (("mend",), ("info",), ("info", "a", "b"), ("verify", "--fast", "a")):
        assert edge_bundle(*arguments).exit_code == 2, arguments


def test_help_and_version(edge_bundle: Any) -> None:
    assert edge_bundle("--version").stdout == f"edge-bundle, version {__version__}\n"
    shown = edge_bundle("--help").stdout
    assert all(word in shown for word in ("info", "list", "verify", "Exit status:", "3    the model"))


def test_in_a_process_the_answer_is_on_stdout_and_the_fault_on_stderr(
    process: Any, phantom_bundle: Path, tmp_path: Path
) -> None:
    whole, nothing = process(MODULE, "verify", phantom_bundle), process(MODULE, "verify", tmp_path)
    assert (whole.returncode, whole.stderr, whole.stdout.count(b"\n")) == (0, b"", 1 + MODEL_FILES)
    assert (nothing.returncode, nothing.stdout) == (3, b"")
    assert nothing.stderr.startswith(b"error [bundle_not_found]: ")
