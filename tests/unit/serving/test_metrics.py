"""What a fleet notices drift by: counted by hand here, and read by the parser of Prometheus' own client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.assurance.audit.log_recorder import AuditSettings, LogRecorder
from edge_runtime.assurance.audit.recorder import Recorder
from edge_runtime.assurance.audit.verification import verify
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import ImageUnreadableError
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.serving.endpoints import Core
from edge_runtime.serving.metrics import CONFIDENCES, FAMILIARITIES, SCORES
from edge_runtime.serving.models import Models, ServedModel
from edge_runtime.serving.server import ServeOptions, core_of
from tests.places import ROOT

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def core(models: Models) -> Iterator[Core]:
    made = core_of(models, ServeOptions())
    yield made
    made.queue.close()


def first(core: Core) -> ServedModel:
    return next(iter(core.models))


def prediction(core: Core, number: int) -> Prediction:
    """A prediction of a drawn image by the first model, with another score each time."""
    made = first(core).loaded.predictor.predict(ROOT / "docs" / "phantom.png")
    score = number / 10
    decision = Decision.POSITIVE if number > 5 else Decision.REFER
    reason = Reason.PRECISION_RERUN if number == 9 else Reason.ABOVE_CUTOFF if number > 5 else Reason.LOW_CONFIDENCE
    verdict = replace(made.verdict, score=score, confidence=max(score, 1 - score), decision=decision, reason=reason)
    return replace(made, verdict=verdict, familiarity=None if number == 0 else number / 5)


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """The sum of the samples that have these labels."""
    matching = [
        value for (each, having), value in found.items() if each == name and labels.items() <= dict(having).items()
    ]
    assert matching, name
    return sum(matching)


def answered(core: Core) -> Samples:
    async def answer() -> None:
        for number in range(10):
            await core.count(first(core), prediction(core, number))
        await core.count(first(core), Failure("secret.png", ImageUnreadableError("x", code="image_damaged")))
        await core.count(first(core), None)

    asyncio.run(answer())
    return samples(core.metrics.text().decode())


def test_answers_are_counted_by_model_version_decision_and_reason(core: Core) -> None:
    found, spec = answered(core), first(core).loaded.predictor.spec
    of_model = {"model": spec.name, "version": spec.version}
    assert value(found, "edge_decisions_total", **of_model) == 10
    assert value(found, "edge_decisions_total", decision="REFER", reason="LOW_CONFIDENCE") == 6
    assert value(found, "edge_decisions_total", decision="POSITIVE", reason="PRECISION_RERUN") == 1
    assert value(found, "edge_reruns_total", model=spec.name) == 1
    assert value(found, "edge_refusals_total", model=spec.name, code="image_damaged") == 1
    assert value(found, "edge_slides_total", **of_model) == 1
    assert value(found, "edge_last_answer_timestamp_seconds", **of_model) > 1.7e9


def test_histograms_have_the_documented_buckets_and_hold_each_value_once(core: Core) -> None:
    found = answered(core)
    scores, confidences = [n / 10 for n in range(10)], [max(n, 10 - n) / 10 for n in range(10)]
    for name, bounds, values in (
        ("score", SCORES, scores),
        ("confidence", CONFIDENCES, confidences),
        ("familiarity", FAMILIARITIES, [n / 5 for n in range(1, 10)]),
    ):
        there = {float(dict(having)["le"]) for each, having in found if each == f"edge_{name}_ratio_bucket"}
        assert there == {*bounds, float("inf")}
        for bound in bounds:
            below = sum(each <= bound for each in values)
            assert value(found, f"edge_{name}_ratio_bucket", le=str(bound)) == below, (name, bound)
        assert value(found, f"edge_{name}_ratio_count") == len(values)
        assert value(found, f"edge_{name}_ratio_sum") == pytest.approx(sum(values))


def test_models_and_software_are_described_once_each(core: Core) -> None:
    found = answered(core)
    for model in core.models:
        predictor = model.loaded.predictor
        labels = {"model": model.name, "bundle": predictor.digest, "contract": predictor.spec.contract}
        assert value(found, "edge_model_info", **labels, precision="int8", fallback="", site_policy="") == 1
        assert value(found, "edge_model_ready", model=model.name) == 1
    assert value(found, "edge_build_info") == 1
    assert value(found, "edge_audit_enabled") == 0
    assert not [name for name, _ in found if name == "edge_audit_info"]


def test_the_audit_log_is_described_and_counts_the_same(models: Models, tmp_path: Path) -> None:
    place = tmp_path / "audit.jsonl"
    recorder: Recorder = LogRecorder(AuditSettings(place, period_s=0), "edge-serve", pytest.fail)
    core = core_of(models, ServeOptions(), recorder)
    recorder.admit(first(core).loaded.predictor)
    found = answered(core)
    core.queue.close()
    head = verify([place]).head
    assert head is not None and head == recorder.head
    assert value(found, "edge_audit_info", head=head.hash) == value(found, "edge_audit_enabled") == 1
    assert value(found, "edge_audit_entries") == head.number == 14
    assert value(found, "edge_audit_failures_total") == 0
    assert b"secret" not in place.read_bytes()


def test_a_label_is_never_of_a_request(core: Core) -> None:
    answered(core)
    names = {name for _, having in samples(core.metrics.text().decode()) for name, _ in having}
    assert names == {
        *("model", "version", "decision", "reason", "code", "le"),
        *("bundle", "contract", "backend", "precision", "fallback", "site_policy", "certificate", "python"),
    }
    assert b"secret" not in core.metrics.text()
