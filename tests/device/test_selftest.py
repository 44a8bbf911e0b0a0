"""On the device: every model that ships passes its own self-test on every interpreter that is installed.

A self-test replays the bundle's golden vectors: tensors from image files, logits of every model file, decisions.
"""

from __future__ import annotations

import pytest

from edge_runtime import DEFAULT_MODEL
from edge_runtime.bundle.bundle import find, shipped
from edge_runtime.inference.backends.registry import FORMAT, installed
from edge_runtime.selftest.certificate import Step
from edge_runtime.selftest.replay import selftest


def test_the_default_model_ships() -> None:
    assert DEFAULT_MODEL in shipped()


@pytest.mark.parametrize("name", shipped())
def test_a_model_that_ships_passes_its_self_test(name: str) -> None:
    bundle = find(name)
    certificate = selftest(bundle)
    failed = [(c.step, c.subject, c.runtime, c.difference, c.problem) for c in certificate.failed()]
    assert not failed
    able = {runtime.value for runtime, form in FORMAT.items() if form in bundle.formats() and installed(runtime)}
    assert {check.runtime for check in certificate.checks if check.step is Step.DECISION} == able
