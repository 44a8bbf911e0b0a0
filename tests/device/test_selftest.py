"""On the device: the models that ship pass their own self-test on every interpreter that is installed."""

from __future__ import annotations

import pytest

from edge_runtime.bundle import find, shipped
from edge_runtime.manifest import Role
from edge_runtime.selftest.replay import selftest


@pytest.mark.parametrize("name", shipped())
def test_a_model_that_ships_passes_its_self_test(name: str) -> None:
    bundle = find(name)
    if not any(entry.role is Role.GOLDEN for entry in bundle.manifest.files):
        pytest.skip(f"{name} was exported before bundles held golden vectors")
    failed = [(c.step, c.subject, c.runtime, c.difference, c.problem) for c in selftest(bundle).failed()]
    assert not failed
