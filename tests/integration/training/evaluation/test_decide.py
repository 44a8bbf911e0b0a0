"""A new policy makes a new artifact: the network is the same, the old artifact too, and figures are measured anew."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from training.artifact import Artifact
from training.cli.decide import decide as command
from training.errors import ArtifactError
from training.metrics import evaluation
from training.policy.policy import PolicyTarget


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def test_a_cutoff_is_asked_for_in_one_way() -> None:
    done = CliRunner().invoke(command, ["a", "--data", "d", "--out", "o", "--sensitivity", "0.9", "--youden"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected one of them" in done.stderr


def test_a_folder_that_holds_files_is_never_written_to(tmp_path: Path, phantom_artifact: Path) -> None:
    from training.evaluation.decide import decide

    (tmp_path / "kept.txt").write_text("kept", encoding="utf-8")
    for out in (tmp_path, phantom_artifact):
        before = _hashes(out)
        with pytest.raises(ArtifactError, match="already holds files"):
            decide(Artifact(phantom_artifact), tmp_path / "no data", out, PolicyTarget())
        assert _hashes(out) == before


def test_the_new_artifact_holds_the_policy_its_basis_and_its_figures(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 50)
    before, old = _hashes(phantom_artifact), Artifact(phantom_artifact)
    out = tmp_path / "decided"
    arguments = [str(phantom_artifact), "--data", str(phantom_data), "--out", str(out), "--youden", "--case"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    new, after = Artifact(out), _hashes(out)
    assert _hashes(phantom_artifact) == before
    assert {name for name in after if after[name] == before.get(name)} == {"model.keras", "split.csv", "history.csv"}
    policy, measured = new.spec().policy, new.measured()
    assert new.spec() == replace(old.spec(), policy=policy) and policy.case is not None
    assert measured.training == replace(old.measured().training, policy=measured.training.policy)
    assert f"Cut-off {policy.cutoff:.4g}" in measured.training.policy
    was = [(found.part, found.subject) for found in old.measured().evaluations]
    assert [(found.part, found.subject) for found in measured.evaluations] == was
    assert done.stdout.startswith(f"policy: temperature {policy.temperature:.6g}, cut-off {policy.cutoff:.6g}")
    assert measured.training.policy in done.stdout and "keras on test" in done.stdout
    assert "case rule on test" in done.stdout and "keras on validation" not in done.stdout
