"""The recipes of docs/how-to/archive.md for schedulers: their commands are run as the scheduler would run them."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.archive.conftest import Site
from tests.places import ROOT
from tests.unit.archive.rows import untimed

PAGE = (ROOT / "docs" / "how-to" / "archive.md").read_text(encoding="utf-8")
SHARDS = 4


def recipe(scheduler: str) -> str:
    """Return the first block of code below a heading."""
    found = re.search(rf"^### {scheduler}\n.*?^```\w*\n(.*?)^```$", PAGE, re.S | re.M)
    assert found
    return found.group(1)


def numbered(script: str, variables: Callable[[int], dict[str, str]]) -> list[tuple[str, dict[str, str]]]:
    return [(script, variables(number)) for number in range(SHARDS)]


def slurm() -> list[tuple[str, dict[str, str]]]:
    script = recipe("Slurm")
    assert "#SBATCH --array=0-99" in script
    count = {"SLURM_ARRAY_TASK_COUNT": str(SHARDS)}
    return numbered(script, lambda number: {"SLURM_ARRAY_TASK_ID": str(number), **count})


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(recipe("Kubernetes"))
    return found


def kubernetes() -> list[tuple[str, dict[str, str]]]:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["sh", "-c"]
    (mount,) = container["volumeMounts"]
    script = container["args"][0].replace(mount["mountPath"], "archive")
    return numbered(script, lambda number: {"JOB_COMPLETION_INDEX": str(number)})


def nextflow() -> list[tuple[str, dict[str, str]]]:
    text = recipe("Nextflow")
    (script,) = re.findall(r'script:\s+"""(.*?)"""', text, re.S)
    values = {"params.archive": "archive", "params.tasks": str(SHARDS)}
    assert set(re.findall(r"\$\{([\w.]+)\}", script)) == {*values, "shard"}
    for name, value in values.items():
        script = script.replace(f"${{{name}}}", value)
    return [(script.replace("${shard}", str(number)), {}) for number in range(SHARDS)]


@pytest.mark.parametrize("tasks", [slurm, kubernetes, nextflow])
def test_the_commands_of_a_recipe_score_every_shard_once(
    tasks: Callable[[], list[tuple[str, dict[str, str]]]],
    site: Site,
    phantom_bundle: Path,
    many: Callable[[int], Path],
) -> None:
    images = many(40)
    _, expected, _ = site.call(images, "--json", "--model", phantom_bundle)
    site.call("archive", "plan", images, "--out", "archive", "--model", phantom_bundle, "--shard-size", 40 // SHARDS)
    command = site.folder / "bin" / "edge-predict"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m edge_runtime.cli.predict "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    for script, variables in tasks():
        path = f"{command.parent}:{site.environment['PATH']}"
        environment = {**site.environment, "PATH": path, **variables}
        subprocess.run(["sh", "-ec", script], cwd=site.folder, env=environment, check=True, timeout=240)
    status, found, _ = site.call("archive", "merge", "archive")
    assert status == 1 and untimed(found) == untimed(expected)


def test_the_kubernetes_job_is_valid_and_has_one_number_for_each_stride() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    found = job()
    validator.validate(found, validator.latest_version(), strict=True)
    spec = found["spec"]
    assert spec["completionMode"] == "Indexed"
    assert f"--stride {spec['completions']}" in spec["template"]["spec"]["containers"][0]["args"][0]
    broken = {**found, "spec": {**spec, "completionModes": "Indexed"}}
    with pytest.raises(validator.ValidationError):
        validator.validate(broken, validator.latest_version(), strict=True)
