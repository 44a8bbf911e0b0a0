"""What holds for every test; ``tests/fixtures`` makes what many tests share."""

from __future__ import annotations

import os
import signal

import pytest

pytest_plugins = (
    "tests.fixtures.once",
    "tests.fixtures.phantoms",
    "tests.fixtures.bundles",
    "tests.fixtures.commands",
    "tests.fixtures.published",
)

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # tests that import onnxruntime themselves send nothing either

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # what a script starts with & ignores Ctrl-C, and so would every program that these tests start and interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and what nohup starts, the order to reload
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _no_store_of_this_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed or chosen on the developer's machine decides no test."""
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path_factory.getbasetemp() / "no-models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    audit = ("EDGE_AUDIT_LOG", "EDGE_AUDIT_PERIOD", "EDGE_AUDIT_KEY")
    for variable in ("EDGE_TRUSTED_KEY", "EDGE_PREDICT_MODEL", "EDGE_SITE_POLICY", *audit):
        monkeypatch.delenv(variable, raising=False)
