"""Prometheus itself reads the metrics of a service, and the alert rules of the docs raise what they say."""

from __future__ import annotations

import re

import yaml

from tests.places import ROOT
from tests.promtool import promtool
from tests.serving import Served

RULES = ROOT / "docs" / "edge-alerts.yml"
_METRIC = re.compile(r"\bedge_[a-z0-9_]+")
_RECORDED = re.compile(r"\bedge:[a-z0-9_:]+")


def test_prometheus_reads_the_metrics_and_finds_no_fault_in_their_names(running: Served, phantom: bytes) -> None:
    running.predict(phantom)
    running.predict(phantom[:400])
    assert promtool("check", "metrics", stdin=running.get("/metrics").body) == ""


def test_the_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_the_rules_raise_what_they_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests/integration/serving/alerts.test.yml"))


def test_each_rule_uses_metrics_that_exist_and_is_explained(running: Served) -> None:
    """A metric with a wrong name raises no alert, ever."""
    text = running.get("/metrics").body.decode()
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    there |= {f"{name}_{part}" for name in there for part in ("bucket", "sum", "count")}
    rules = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    page = (ROOT / "docs" / "how-to" / "monitor-a-fleet.md").read_text("utf-8")
    for rule in rules:
        assert set(_METRIC.findall(rule["expr"])) <= there, rule
        assert set(_RECORDED.findall(rule["expr"])) <= recorded, rule
        assert "alert" not in rule or f"`{rule['alert']}`" in page, rule
