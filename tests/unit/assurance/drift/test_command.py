"""``edge-predict drift``: what it finds, what it refuses by name, its files, and its exit status."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.cli.drift import command
from tests.fixtures.commands import Called, _caller
from tests.unit.assurance.drift.made import answer, failure, series, write

PATTERN = ("--case-pattern", r"/(p\d+)/")


@pytest.fixture
def edge_drift() -> Called:
    return _caller(command)


@pytest.fixture
def site(tmp_path: Path, edge_drift: Called) -> Path:
    """The reference of a site: 60 patients of 4 images."""
    accepted = write(tmp_path / "accepted.jsonl", series(60, 4, seed=1))
    done = edge_drift(accepted, *PATTERN, "--write-reference", tmp_path / "site.json")
    assert done.exit_code == 0, done.output
    assert "reference of 60 cases, 240 images" in done.stdout
    return tmp_path / "site.json"


Results = Callable[..., Path]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Write answers on new patients."""

    def make(move: float = 0.0, since: int = 0, cases: int = 60, name: str = "results.jsonl") -> Path:
        return write(tmp_path / name, series(cases, 4, seed=2, move=move, first=100, since=since))

    return make


def test_no_drift_is_not_shown_on_answers_like_the_reference(
    site: Path, results: Results, edge_drift: Called, tmp_path: Path
) -> None:
    done = edge_drift(results(), *PATTERN, "--reference", site)
    assert done.exit_code == 0, done.output
    assert "no drift shown in" in done.stdout and "60 cases show a shift of 0." in done.stdout


def test_a_drift_is_named_with_its_day(site: Path, results: Results, edge_drift: Called, tmp_path: Path) -> None:
    page, metrics = tmp_path / "drift.html", tmp_path / "drift.prom"
    path = results(move=1.5, since=35)
    done = edge_drift(path, *PATTERN, "--reference", site, "--json", "--page", page, "--prometheus", metrics)
    assert done.exit_code == 1, done.output
    report = json.loads(done.stdout)
    assert (report["schema"], report["finding"]) == ("edge-predict-drift/1", "drift")
    assert all(test["drifted"] for test in report["tests"][:2])
    (first,) = (test for test in report["tests"] if (test["quantity"], test["kind"]) == ("grain", "shift"))
    assert first["effect"] > 0.6 and first["low"] > 0.5
    assert first["since"]["earliest"] <= "2026-07-14T" <= first["since"]["latest"] + "~"  # day 100 + 35 of 1 March
    assert {test["quantity"] for test in report["tests"] if test["drifted"]} == {"grain"}
    html = page.read_text(encoding="utf-8")
    assert "grain" in html and "<svg" in html and "<script" not in html and "http" not in html
    found = {
        (sample.name, sample.labels.get("result")): sample.value
        for family in text_string_to_metric_families(metrics.read_text())
        for sample in family.samples
    }
    assert found["edge_predict_drift_finding", "drift"] == 1
    assert found["edge_predict_drift_finding", "no drift shown"] == 0
    assert found["edge_predict_drift_cases", None] == 60


def test_too_few_cases_are_not_called_no_drift(site: Path, results: Results, edge_drift: Called) -> None:
    done = edge_drift(results(cases=6), *PATTERN, "--reference", site)
    assert done.exit_code == 7, done.output
    assert "TOO FEW CASES" in done.stdout and "no drift shown" not in done.stdout


def test_without_cases_the_report_warns(site: Path, results: Results, edge_drift: Called) -> None:
    done = edge_drift(results(), "--reference", site)
    assert "Each image counts as a case" in done.stdout and "240 cases" in done.stdout


def test_a_list_of_cases_gives_what_the_pattern_gives(
    site: Path, results: Results, edge_drift: Called, tmp_path: Path
) -> None:
    path = results(move=1.5)
    cases = tmp_path / "cases.csv"
    names = {json.loads(line)["image"] for line in path.read_text().splitlines()}
    rows = [f"{name.split('/')[1]},{name.removeprefix('in/')},negative" for name in sorted(names)]
    cases.write_text("\n".join(["case,image,label", *rows]) + "\n", encoding="utf-8")
    one = json.loads(edge_drift(path, *PATTERN, "--reference", site, "--json").stdout)
    two = json.loads(edge_drift(path, "--cases", cases, "--reference", site, "--json").stdout)
    assert one["tests"] == two["tests"] and one["cases"] == two["cases"] == 60
    cases.write_text("\n".join(["case,image", *rows[1:]]).replace(",negative", "") + "\n", encoding="utf-8")
    refused = edge_drift(path, "--cases", cases, "--reference", site)
    assert refused.exit_code == 2 and "[drift_cases]" in refused.stderr


def test_rotated_and_compressed_files_are_one_window(
    site: Path, results: Results, edge_drift: Called, tmp_path: Path
) -> None:
    lines = results(move=1.0).read_text().splitlines()
    whole = json.loads(edge_drift(tmp_path / "results.jsonl", *PATTERN, "--reference", site, "--json").stdout)
    new, old = write(tmp_path / "new.jsonl", lines[100:]), tmp_path / "new.jsonl.1.gz"
    old.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines[:101]).encode()))
    parts = json.loads(edge_drift(new, old, *PATTERN, "--reference", site, "--json").stdout)
    assert parts["tests"] == whole["tests"]
    assert edge_drift(new, "--rotated", *PATTERN, "--reference", site, "--json").stdout.count('"cases": 60') >= 1
    assert "1 lines of images that have a newer line were left out." in parts["notes"]


def test_the_window_and_the_dates_choose_answers(site: Path, results: Results, edge_drift: Called) -> None:
    path = results()
    for options, cases in (
        (("--window", "20"), 20),
        (("--window", "9d"), 10),
        (("--since", "2026-08-01"), 7),
        (("--until", "2026-06-10"), 2),
    ):
        report = json.loads(edge_drift(path, *PATTERN, "--reference", site, "--json", *options).stdout)
        assert report["cases"] == cases, options


@pytest.mark.parametrize(
    "other",
    [
        {"model": "other-model"},
        {"version": "1.0.1"},
        {"contract": "d" * 64},
        {"cutoff": 0.4},
        {"bundle": "e" * 64},
        {"site": "calibrated", "site_policy": {"name": "ward", "version": 1, "sha256": "f" * 64}},
    ],
)
def test_mixed_answers_are_refused_by_name(
    other: dict[str, object], site: Path, edge_drift: Called, tmp_path: Path
) -> None:
    lines = [*series(20, 1, seed=3), answer("in/p9999/0.png", 99_999, 0.7, {"width": 50, "grain": 0.0}, **other)]
    done = edge_drift(write(tmp_path / "mixed.jsonl", lines), *PATTERN, "--reference", site)
    assert done.exit_code == 2 and "[drift_mixed]" in done.stderr
    name = next(iter(other))
    assert f"{name} " in done.stderr and "line 21" in done.stderr
    assert edge_drift(tmp_path / "mixed.jsonl", *PATTERN, "--reference", site, "--until", "2026-05-01").exit_code in (
        0,
        7,
    )


def test_another_model_than_the_reference_is_refused(site: Path, edge_drift: Called, tmp_path: Path) -> None:
    lines = [answer(f"in/p{k}/0.png", k, 0.4, version="2.0.0") for k in range(20)]
    done = edge_drift(write(tmp_path / "other.jsonl", lines), *PATTERN, "--reference", site)
    assert done.exit_code == 2 and "[drift_other_model]" in done.stderr and "version 2.0.0, not 1.0.0" in done.stderr


def test_answers_with_other_thresholds_than_the_reference_need_a_reference_of_their_own(
    site: Path, edge_drift: Called, tmp_path: Path
) -> None:
    policy = {"name": "ward", "version": 1, "sha256": "f" * 64}
    lines = [answer(f"in/p{k}/0.png", k, 0.4, cutoff=0.45, site="calibrated", site_policy=policy) for k in range(20)]
    done = edge_drift(write(tmp_path / "calibrated.jsonl", lines), *PATTERN, "--reference", site)
    assert done.exit_code == 2 and "[drift_other_model]" in done.stderr
    assert "another pair of thresholds" in done.stderr and "--write-reference" in done.stderr


def test_damage_is_refused_but_an_incomplete_last_line_is_not(
    site: Path, results: Results, edge_drift: Called, tmp_path: Path
) -> None:
    path = results()
    whole = path.read_text()
    path.write_text(whole[:-30])
    done = edge_drift(path, *PATTERN, "--reference", site)
    assert done.exit_code == 0 and "the last line is incomplete" in done.stdout
    path.write_text(whole.replace('"score": 0.', '"score": 0.1', 1))
    done = edge_drift(path, *PATTERN, "--reference", site)
    assert done.exit_code == 2 and "[results_damaged]" in done.stderr and "line 1 " in done.stderr
    missing = edge_drift(tmp_path / "nothing.jsonl", "--reference", site)
    assert missing.exit_code == 2 and "[results_unusable]" in missing.stderr


def test_failures_count_as_a_rate(site: Path, edge_drift: Called, tmp_path: Path) -> None:
    lines = series(60, 2, seed=4, first=100)
    lines += [failure(f"in/p{100 + case:04d}/bad.png", 1440 * (100 + case) + 5) for case in range(60)]
    report = json.loads(
        edge_drift(write(tmp_path / "failed.jsonl", lines), *PATTERN, "--reference", site, "--json").stdout
    )
    (failed,) = (test for test in report["tests"] if test["quantity"] == "failed")
    assert failed["drifted"] and failed["window"] == pytest.approx(1 / 3) and failed["reference"] == 0.0


def test_a_bundle_without_a_reference_says_how_to_make_one(
    phantom_bundle: Path, phantom_patches: list[Path], edge_predict: Called, edge_drift: Called, tmp_path: Path
) -> None:
    path = tmp_path / "phantoms.jsonl"
    edge_predict("--model", phantom_bundle, "--output", path, "--statistics", *phantom_patches)
    done = edge_drift(path, "--model", phantom_bundle)
    assert done.exit_code == 2 and "[drift_no_reference]" in done.stderr and "--write-reference" in done.stderr
    assert edge_drift(path, "--write-reference", tmp_path / "own.json").exit_code == 0
    again = edge_drift(path, "--reference", tmp_path / "own.json", "--json")
    assert again.exit_code == 0, again.output
    assert not any(test["drifted"] for test in json.loads(again.stdout)["tests"])


def test_charts_of_a_phantom_need_no_reference(edge_drift: Called, tmp_path: Path) -> None:
    lines = [
        answer("phantom.png", 1440 * day, 0.4, {"width": 50, "grain": 0.3 if day < 30 else 0.31}) for day in range(40)
    ]
    path = write(tmp_path / "phantom.jsonl", lines)
    done = edge_drift(path, "--charts", "--page", tmp_path / "charts.html")
    assert done.exit_code == 1 and "grain                2026-03-31  point beyond its limits" in done.stdout
    assert "<svg" in (tmp_path / "charts.html").read_text()
    assert edge_drift(path, "--charts", "--until", "2026-03-30").exit_code == 0
    assert edge_drift(path, "--charts", "--until", "2026-03-15").exit_code == 7


def test_options_that_contradict_each_other_are_refused(site: Path, results: Results, edge_drift: Called) -> None:
    path = results()
    for options in (
        ("--charts", "--reference", site),
        (*PATTERN, "--cases", site),
        ("--reference", site, "--write-reference", "x.json"),
        ("--since", "yesterday"),
        ("--window", "3w"),
    ):
        assert edge_drift(path, *options).exit_code == 2
