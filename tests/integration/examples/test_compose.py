"""The compose file of the examples is one by the Compose specification."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

COMPOSE = ROOT / "examples" / "orthanc" / "compose.yaml"


def validated(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_follows_the_schema_of_the_specification(tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema")
    done = validated(COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text("utf-8").replace("    command:", "    comand:"), "utf-8")
    assert "'comand' was unexpected" in validated(wrong).stdout
