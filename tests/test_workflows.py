"""The workflows hold what keeps a release safe: pinned actions, least privilege, and steps that refuse a wrong tag."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from tests.places import ROOT

yaml = pytest.importorskip("yaml")

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
USES = re.compile(r"^\s*(?:- )?uses: (\S+)(.*)$", re.MULTILINE)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
WRITES = {
    ("docs.yml", "deploy"): {"pages", "id-token"},
    ("release.yml", "pypi"): {"id-token"},
    ("release.yml", "github"): {"contents"},
}

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> dict[str, Any]:
    """A workflow; its key ``on`` is the boolean that YAML 1.1 makes of it."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def step(workflow: str, job: str, name: str) -> str:
    """The script of a named step."""
    steps = read(ROOT / ".github" / "workflows" / workflow)["jobs"][job]["steps"]
    (script,) = [each["run"] for each in steps if each.get("name") == name]
    return script


def test_all_three_workflows_are_here() -> None:
    assert [path.name for path in WORKFLOWS] == ["docs.yml", "release.yml", "tests.yml"]


def test_zizmor_finds_nothing() -> None:
    zizmor = shutil.which("zizmor", path=sysconfig.get_path("scripts"))
    if zizmor is None:
        pytest.skip("zizmor is not installed here")
    inputs = [str(ROOT / ".github"), str(ROOT / ".pre-commit-config.yaml")]
    options = ["--offline", "--no-config", "--no-ignores", "--persona=auditor", "--strict-collection", "--format=json"]
    run = subprocess.run([zizmor, *options, *inputs], capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, json.loads(run.stdout or "null")) == (0, []), run.stderr
    for path in (*WORKFLOWS, ROOT / ".github" / "dependabot.yml"):
        assert path.name in run.stderr, f"{path.name} was not audited: {run.stderr}"


@every_workflow
def test_actions_are_pinned_by_commit_with_their_version(path: Path) -> None:
    found = USES.findall(path.read_text(encoding="utf-8"))
    assert found
    for action, comment in found:
        if action.startswith("$/"):  # of this repository, at the commit that runs
            assert (ROOT / action.removeprefix("$/")).is_file()
            continue
        assert PINNED.fullmatch(action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action}{comment}"


def test_an_action_has_one_version_everywhere() -> None:
    versions: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, comment in USES.findall(path.read_text(encoding="utf-8")):
            versions.setdefault(action.split("@")[0], set()).add(f"{action}{comment}")
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@every_workflow
def test_nothing_runs_with_more_than_it_needs(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    triggers = workflow[True]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)
    assert "cancel-in-progress" in workflow["concurrency"]
    for name, job in workflow["jobs"].items():
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        assert writes == WRITES.get((path.name, name), set()), name
        assert "uses" in job or 0 < job["timeout-minutes"] <= 120, name
        for each in job.get("steps", []):
            if each.get("uses", "").startswith("actions/checkout@"):
                assert each["with"]["persist-credentials"] is False, name


def test_concurrency_groups_differ() -> None:
    """A called workflow in its caller's group would wait for itself."""
    groups = [read(path)["concurrency"]["group"] for path in WORKFLOWS]
    assert len(set(groups)) == len(groups)


def test_the_wheel_is_tested_on_every_python_of_the_device_sessions() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    (boards,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "boards"]
    (pythons,) = [
        ast.literal_eval(keyword.value)
        for call in boards.decorator_list
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "python"
    ]
    device = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["device"]
    assert device["strategy"]["matrix"]["python"] == pythons
    assert "--error-on-missing-interpreters" in device["steps"][-1]["run"]


def test_pypi_gets_only_what_was_tested_and_built_here() -> None:
    release = read(ROOT / ".github" / "workflows" / "release.yml")
    assert release[True] == {"push": {"tags": ["v*"]}}
    pypi = release["jobs"]["pypi"]
    assert set(pypi["needs"]) == {"tests", "build"}
    assert pypi["environment"]["name"] == "pypi"
    assert "password" not in json.dumps(pypi)


@pytest.mark.parametrize(
    ("tag", "status"), [(f"v{edge_runtime.__version__}", 0), ("v9.9.9", 1), (edge_runtime.__version__, 1)]
)
def test_a_tag_that_is_not_the_version_stops_the_release(tag: str, status: int, tmp_path: Path) -> None:
    out = tmp_path / "environment"
    environment = {**os.environ, "GITHUB_REF_NAME": tag, "GITHUB_ENV": str(out)}
    script = ["bash", "-e", "-c", step("release.yml", "build", "Check that the tag is the version")]
    run = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
    assert run.returncode == status, run.stderr
    if status == 0:
        assert out.read_text(encoding="utf-8") == f"VERSION={edge_runtime.__version__}\n"


@pytest.mark.parametrize(("version", "status"), [(edge_runtime.__version__, 0), ("9.9.9", 1)])
def test_the_release_notes_are_this_versions_part_of_the_changelog(version: str, status: int, tmp_path: Path) -> None:
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    (tmp_path / "release").mkdir()
    script = ["bash", "-e", "-c", step("release.yml", "build", "Copy this version's notes out of the changelog")]
    environment = {**os.environ, "VERSION": version}
    run = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
    assert run.returncode == status, run.stderr
    if status == 0:
        notes = (tmp_path / "release" / "notes.md").read_text(encoding="utf-8")
        changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        assert notes.lstrip().startswith("### ")
        assert notes in changelog
        assert "\n## " not in notes
