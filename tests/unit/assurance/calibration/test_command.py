"""``edge-bundle calibrate-site`` on the committed bundle: accepted, refused, too few, applied, replaced, tampered."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import Precision, Predictor
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.registry.install import install
from edge_runtime.bundle.site_policy_file import read_site_policy
from edge_runtime.cli import accept
from edge_runtime.errors import EdgeError, SitePolicyError
from tests.fixtures.commands import Called, _caller
from tests.phantom_bundle import CHECKED
from tests.unit.assurance.calibration.conftest import Listed

NAME = "phantom-patch"
CHANGING = {"time", "ms", "check"}


@pytest.fixture
def installed(phantom_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model, installed in a store of its own."""
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    install(phantom_bundle)
    return NAME


@pytest.fixture
def calibrate(edge_bundle: Called, phantom_data: Path, tmp_path: Path) -> Called:
    """Return a function that calibrates on a list of cases, into ``tmp_path / out`` unless told otherwise."""

    def call(cases: Path, *arguments: object, model: object = NAME, out: Path = tmp_path / "out") -> Any:
        target = arguments if "--sensitivity" in arguments else ("--youden", *arguments)
        return edge_bundle(
            "calibrate-site", phantom_data, "--cases", cases, "--model", model, "--out", out, "--name", "ward", *target
        )

    return call


@pytest.fixture
def policy(installed: str, calibrate: Called, shifted: Path, tmp_path: Path) -> Path:
    """A site policy that was shown to help, not installed."""
    done = calibrate(shifted)
    assert done.exit_code == 0, done.output
    return tmp_path / "out" / "site-policy.json"


def test_a_shifted_site_gets_a_policy_and_the_bundle_keeps_its_bytes(
    policy: Path, phantom_bundle: Path, shifted: Path
) -> None:
    found = json.loads(policy.read_text())
    bundle = find(phantom_bundle)
    assert (found["name"], found["version"], found["model"]) == ("ward", 1, NAME)
    assert (found["bundle"], found["contract"]) == (bundle.digest, bundle.manifest.spec.contract)
    assert found["thresholds"]["cutoff"] > 0.8 > found["replaced"]["cutoff"] == 0.5
    changes = {change["name"]: change for change in found["validation"]["changes"]}
    assert changes["balanced accuracy"]["difference"]["low"] > 0
    rows = shifted.read_text().splitlines()[1:]
    assert found["cases"]["positive"] == sum("positive" in row for row in rows)
    assert found["cases"]["images"] == len(rows)
    assert find(NAME).digest == bundle.digest
    assert find(NAME).verify() == len(bundle.manifest.files)


def test_a_site_like_that_of_the_model_gets_none(
    installed: str, calibrate: Called, alike: Path, tmp_path: Path
) -> None:
    done = calibrate(alike, "--install")
    assert done.exit_code == 1
    assert "NOT SHOWN TO HELP: the balanced accuracy changes by" in done.output
    assert not (tmp_path / "out" / "site-policy.json").exists()
    assert not (tmp_path / "store" / NAME / "site").exists()


def test_too_few_cases_are_refused(installed: str, calibrate: Called, listed: Listed, tmp_path: Path) -> None:
    done = calibrate(listed(lambda score, _: score >= 0.93, 60))  # type: ignore[call-arg]
    assert done.exit_code == 2 and "[calibration_too_few]: Found too few positive cases" in done.output
    assert not (tmp_path / "out" / "site-policy.json").exists()


def test_the_images_are_answered_once(policy: Path, calibrate: Called, shifted: Path, tmp_path: Path) -> None:
    """An interrupted calibration continues; a further target uses the same answers, and is a further try."""
    answers = tmp_path / "out" / "calibration.jsonl"
    whole = answers.read_bytes()
    lines = whole.splitlines(keepends=True)
    answers.write_bytes(b"".join(lines[:200]) + lines[200][:40])
    assert calibrate(shifted, "--sensitivity", 0.8).exit_code == 0
    again = answers.read_bytes().splitlines(keepends=True)
    assert again[:200] == lines[:200] and len(again) == len(lines)
    found = read_site_policy(policy).policy
    assert (found.version, found.validation.tries) == (2, 2)
    other = [json.loads(line)["precision"] for line in lines]
    assert set(other) == {"float32"}


def test_other_images_or_a_foreign_folder_are_refused(
    policy: Path, calibrate: Called, shifted: Path, tmp_path: Path
) -> None:
    rows = shifted.read_text().splitlines()
    shifted.write_text("\n".join([rows[0], *reversed(rows[1:])]) + "\n")
    assert "[acceptance_answers]" in calibrate(shifted).output
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "protocol.json").write_text("{}")
    done = calibrate(shifted, out=tmp_path / "foreign")
    assert done.exit_code == 2 and "[calibration_folder]" in done.output


def _lines(output: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k not in CHANGING} for line in output.splitlines()]


def test_every_way_of_giving_a_policy_gives_the_same_answers(
    policy: Path,
    edge_predict: Called,
    edge_bundle: Called,
    phantom_patches: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = phantom_patches[:40]
    plain = _lines(edge_predict("--json", "--model", NAME, *images).stdout)
    given = _lines(edge_predict("--json", "--model", NAME, "--site-policy", policy, *images).stdout)
    monkeypatch.setenv("EDGE_SITE_POLICY", str(policy))
    from_environment = _lines(edge_predict("--json", "--model", NAME, *images).stdout)
    none = _lines(edge_predict("--json", "--model", NAME, "--site-policy", "none", *images).stdout)
    monkeypatch.delenv("EDGE_SITE_POLICY")
    assert edge_bundle("site-policy", "install", policy).exit_code == 0
    by_name = _lines(edge_predict("--json", "--model", NAME, *images).stdout)
    with Predictor.load(NAME) as predictor:
        direct = [predictor.predict(str(image)).to_dict() for image in images]
    assert given == from_environment == by_name == [{k: v for k, v in d.items() if k not in CHANGING} for d in direct]
    assert plain == none
    loaded = read_site_policy(policy)
    site = {"name": "ward", "version": 1, "sha256": loaded.sha256}
    assert all((line["site"], line["site_policy"]) == ("calibrated", site) for line in given)
    assert all(line["site"] == "uncalibrated" and "site_policy" not in line for line in plain)
    assert {line["cutoff"] for line in given} == {loaded.policy.thresholds.cutoff}
    assert [line["decision"] for line in given] != [line["decision"] for line in plain]


def test_text_and_csv_name_the_policy(policy: Path, edge_predict: Called, phantom_patches: list[Path]) -> None:
    asked = ("--model", NAME, "--site-policy", policy)
    sha256 = read_site_policy(policy).sha256
    card = edge_predict(*asked, phantom_patches[0]).stdout
    assert f"site      calibrated: site policy ward 1, SHA-256 {sha256[:16]}" in card
    assert "site calibrated (site policy ward 1)" in edge_predict(*asked, *phantom_patches[:2]).stdout
    rows = edge_predict(*asked, "--csv", *phantom_patches[:2]).stdout.splitlines()
    assert rows[0].endswith(",site,site_policy")
    assert all(row.endswith(f",calibrated,ward 1 {sha256}") for row in rows[1:])


def test_int8_and_float32_agree_under_the_policy(policy: Path, phantom_patches: list[Path]) -> None:
    """The guard band follows the thresholds and the temperature: near them, the float32 file decides."""
    value = json.loads(policy.read_text())
    value["thresholds"].update(temperature=0.3, cutoff=0.6, confidence_floor=0.7)
    policy.write_text(json.dumps(value))
    with (
        Predictor.load(NAME, site_policy=policy) as first,
        Predictor.load(NAME, site_policy="none") as own,
    ):
        assert first._plan.guard_band > own._plan.guard_band > 0
        answers = [first.predict(str(path)) for path in phantom_patches]
    with Predictor.load(NAME, site_policy=policy, precision=Precision.FLOAT32) as exact:
        decisions = [exact.predict(str(path)).verdict.decision for path in phantom_patches]
    assert [answer.verdict.decision for answer in answers] == decisions
    assert any(answer.verdict.reason.value == "PRECISION_RERUN" for answer in answers)


def test_install_list_rollback_and_remove(
    policy: Path, calibrate: Called, edge_bundle: Called, shifted: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first.json"
    shutil.copy(policy, first)
    assert edge_bundle("site-policy", "install", first).exit_code == 0
    assert edge_bundle("site-policy", "install", first).output.startswith("error [site_policy_older]")
    assert calibrate(shifted, "--sensitivity", 0.8, "--install").exit_code == 0
    listed = edge_bundle("site-policy", "list").output.splitlines()
    assert [line.split("(")[-1] for line in listed] == ["in force)", "previous)"]
    assert "ward 2" in listed[0] and "ward 1" in listed[1]
    assert "site policy ward 2" in edge_bundle("list").output
    assert "site policy  ward 2 is in force" in edge_bundle("info", NAME).output
    assert "ward 1" in edge_bundle("site-policy", "rollback", NAME).output
    with Predictor.load(NAME) as predictor:
        assert str(predictor.site_policy) == "ward 1"
    assert "measured     balanced accuracy" in edge_bundle("site-policy", "show", NAME).output
    assert edge_bundle("site-policy", "remove", NAME).exit_code == 0
    with Predictor.load(NAME) as predictor:
        assert predictor.site_policy is None
    assert not list((tmp_path / "store" / NAME / "site").glob("[0-9]*"))
    assert edge_bundle("site-policy", "rollback", NAME).exit_code == 3
    assert calibrate(shifted, "--install").exit_code == 0
    with Predictor.load(NAME) as predictor:
        assert predictor.site_policy is not None and predictor.site_policy.version == 3, "versions rise"
    assert edge_bundle("remove", NAME).exit_code == 0
    assert edge_bundle("site-policy", "list").output == ""


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda value: value.update(model="other"), "site_policy_other_model"),
        (lambda value: value.update(model_version="1.0.1"), "site_policy_other_version"),
        (lambda value: value.update(contract="0" * 64), "site_policy_other_contract"),
        (lambda value: value.update(bundle="0" * 64), "site_policy_other_bundle"),
        (lambda value: value["replaced"].update(cutoff=0.4), "site_policy_other_thresholds"),
        (lambda value: value["thresholds"].update(cutoff=1.4), "site_policy_invalid"),
        (lambda value: value["thresholds"].update(guard_band=0.1), "site_policy_invalid"),
        (lambda value: value.update(schema="edge-site-policy/2"), "site_policy_invalid"),
        (lambda value: value.update(version=0), "site_policy_invalid"),
        (lambda value: value.pop("method"), "site_policy_invalid"),
    ],
)
def test_a_policy_for_something_else_is_refused_by_name(policy: Path, edit: Edit, code: str) -> None:
    value = json.loads(policy.read_text())
    edit(value)
    policy.write_text(json.dumps(value))
    with pytest.raises(SitePolicyError) as caught:
        Predictor.load(NAME, site_policy=policy)
    assert caught.value.code == code


def test_another_bundle_refuses_the_policy_and_a_missing_one_is_no_silence(policy: Path, tmp_path: Path) -> None:
    with pytest.raises(SitePolicyError) as caught:
        Predictor.load(CHECKED, site_policy=policy)
    assert caught.value.code in {"site_policy_other_bundle", "site_policy_other_model"}
    for path in (tmp_path / "nowhere.json", ""):
        with pytest.raises(SitePolicyError) as caught:
            Predictor.load(NAME, site_policy=path)
        assert caught.value.code == "site_policy_missing"


def test_a_trusted_key_wants_a_signed_policy(
    installed: str,
    calibrate: Called,
    edge_bundle: Called,
    shifted: Path,
    bundle_copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("site.key", "other.key"):
        edge_bundle("key", tmp_path / name)
    edge_bundle("sign", bundle_copy, "--key", tmp_path / "site.key")
    trusted, out = tmp_path / "site.key.pub", tmp_path / "out"
    asked = {"model": bundle_copy, "out": out}
    assert calibrate(shifted, "--sign-key", tmp_path / "site.key", **asked).exit_code == 0

    def refused(key: Path) -> str:
        with pytest.raises(EdgeError) as caught:
            Predictor.load(bundle_copy, trusted_key=key, site_policy=out)
        return caught.value.code

    with Predictor.load(bundle_copy, trusted_key=trusted, site_policy=out) as predictor:
        assert predictor.site_policy is not None
    shown = edge_bundle("site-policy", "show", out, "--key", trusted).output
    assert "signature    checked" in shown
    both = tmp_path / "both.pub"
    text = (out / "site-policy.json").read_text()
    (out / "site-policy.json").write_text(text.replace('"name": "ward"', '"name": "bard"'))
    assert refused(trusted) == "signature_wrong"
    (out / "site-policy.json").write_text(text)
    signature = (out / "site-policy.sig").read_bytes()
    (out / "site-policy.sig").unlink()
    assert refused(trusted) == "signature_missing"
    (out / "site-policy.sig").write_bytes(signature[:-4] + b"0\n")
    assert refused(trusted) == "signature_unreadable"
    edge_bundle("sign", bundle_copy, "--key", tmp_path / "other.key")
    (out / "site-policy.sig").write_bytes(signature)
    assert refused(tmp_path / "other.key.pub") == "signature_other_key"
    both.write_text(trusted.read_text() + (tmp_path / "other.key.pub").read_text())
    with Predictor.load(bundle_copy, trusted_key=both, site_policy=out) as predictor:
        assert predictor.site_policy is not None


def test_a_pickled_predictor_wants_the_same_policy(policy: Path) -> None:
    with Predictor.load(NAME, site_policy=policy) as predictor:
        content = pickle.dumps(predictor)
        with pickle.loads(content) as again:
            assert again.site_policy == predictor.site_policy
    text = policy.read_text()
    policy.write_text(text.replace('"name": "ward"', '"name": "bard"'))
    with pytest.raises(EdgeError) as caught:
        pickle.loads(content)
    assert caught.value.code == "site_policy_changed"


def test_an_acceptance_names_the_policy(
    policy: Path, phantom_data: Path, alike: Path, tmp_path: Path, edge_predict: Called
) -> None:
    out = tmp_path / "acceptance"
    asked = ("--cases", alike, "--model", NAME, "--out", out, "--sensitivity-floor", 0.5)
    edge_accept = _caller(accept.command)
    assert edge_accept(phantom_data, *asked, "--site-policy", policy).exit_code in (0, 1)
    protocol = json.loads((out / "protocol.json").read_text())
    assert protocol["site_policy"] == read_site_policy(policy).sha256
    assert protocol["cutoff"] == read_site_policy(policy).policy.thresholds.cutoff
    other = edge_accept(phantom_data, *asked)
    assert other.exit_code == 2 and "site_policy" in other.output


def test_results_of_another_policy_are_not_continued(
    policy: Path, edge_predict: Called, phantom_patches: list[Path], place: Path
) -> None:
    asked = ("--model", NAME, "--output", place, *phantom_patches[:3])
    assert edge_predict(*asked).exit_code == 0
    done = edge_predict(*asked, "--resume", "--site-policy", policy)
    assert done.exit_code == 2 and "results_other_model" in done.output and "site_policy" in done.output


def test_the_self_test_stays_with_the_bundles_own_policy(policy: Path, edge_bundle: Called) -> None:
    plain = edge_bundle("selftest", NAME)
    edge_bundle("site-policy", "install", policy)
    assert edge_bundle("selftest", NAME).exit_code == plain.exit_code == 0
