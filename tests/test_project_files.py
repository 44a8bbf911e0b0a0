"""What stands in several files of the project is the same in each: version, date, checks, commands."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from typing import Any

import pytest

import edge_runtime
from tests.places import ROOT

yaml = pytest.importorskip("yaml")

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$")
GROUPS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def releases() -> list[tuple[str, str]]:
    """Version and date of each release in the changelog, newest first."""
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ") and line != "## [Unreleased]"]
    matches = [HEADING.match(line) for line in headings]
    assert all(matches), headings
    return [(match[1], match[2]) for match in matches if match]


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    found = releases()
    assert found[0][0] == edge_runtime.__version__
    versions = [tuple(map(int, version.split("."))) for version, _ in found]
    dates = [datetime.date.fromisoformat(date) for _, date in found]
    assert (versions, dates) == (sorted(set(versions), reverse=True), sorted(dates, reverse=True))


def test_the_changelog_has_the_groups_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    groups = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert groups
    assert set(groups) <= GROUPS


def test_the_citation_is_of_this_version() -> None:
    citation = read("CITATION.cff")
    assert set(citation) >= {"cff-version", "message", "title", "authors"}, "what the format requires"
    assert citation["cff-version"] == "1.2.0"
    assert (citation["version"], citation["date-released"]) == releases()[0]
    assert f'license = "{citation["license"]}"' in PYPROJECT
    assert citation["authors"] == [{"name": "The edge-predict contributors"}]


def test_the_security_policy_supports_this_version() -> None:
    minor = edge_runtime.__version__.rsplit(".", 1)[0]
    assert f"| {minor}.x | yes |" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_the_hooks_run_ruff_and_mypy_of_the_development_environment() -> None:
    """No hook has a version or settings of its own: ``pyproject.toml`` holds both."""
    (repo,) = read(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    assert [hook["language"] for hook in repo["hooks"]] == ["system"] * 3
    assert [hook["entry"] for hook in repo["hooks"]] == [
        "python -m ruff check --force-exclude",
        "python -m ruff format --force-exclude",
        "python -m mypy",
    ]


def test_pre_commit_takes_the_hooks() -> None:
    pytest.importorskip("pre_commit")
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(ROOT / ".pre-commit-config.yaml")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_container_is_set_up_by_the_readmes_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- tests -->\n```sh\n(.+)\n```", readme)
    assert block
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    command = container["postCreateCommand"]
    assert block[1].removeprefix(command).strip() == "&& .venv-dev/bin/python -m nox"
    assert container["image"].endswith("python:3.11")


def test_versions_that_decide_bytes_are_not_raised_by_themselves() -> None:
    dev = PYPROJECT[PYPROJECT.index("\ndev = [") :]
    exact = set(re.findall(r'^  "([\w-]+)==', dev[: dev.index("\n]")], re.MULTILINE))
    assert exact
    (pip,) = [entry for entry in read(".github/dependabot.yml")["updates"] if entry["package-ecosystem"] == "pip"]
    assert {entry["dependency-name"] for entry in pip["ignore"]} == exact
    kinds = ["version-update:semver-major", "version-update:semver-minor", "version-update:semver-patch"]
    assert all(entry["update-types"] == kinds for entry in pip["ignore"]), "security updates are still proposed"


@pytest.mark.parametrize("name", ["bug_report.yml", "feature_request.yml"])
def test_issue_forms_are_whole_and_warn_of_patients_data(name: str) -> None:
    form = read(f".github/ISSUE_TEMPLATE/{name}")
    assert {"name", "description", "body"} <= set(form)
    kinds = {"markdown", "textarea", "input", "checkboxes"}
    for element in form["body"]:
        assert element["type"] in kinds
        assert element["type"] == "markdown" or element["attributes"]["label"]
    identifiers = [element["id"] for element in form["body"] if element["type"] != "markdown"]
    assert len(set(identifiers)) == len(identifiers)
    warning = form["body"][0]["attributes"]["value"]
    assert "**Never attach patients' images or data" in warning


def test_a_bug_report_says_which_version_and_what_the_self_test_found() -> None:
    elements = {element.get("id"): element for element in read(".github/ISSUE_TEMPLATE/bug_report.yml")["body"]}
    assert "edge-predict --version" in elements["version"]["attributes"]["label"]
    assert "edge-bundle selftest --json" in elements["selftest"]["attributes"]["description"]
    assert all(elements[name]["validations"]["required"] for name in ("version", "selftest", "happened", "reproduce"))
