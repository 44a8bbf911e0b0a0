"""How the commands are called here: in this process, or as a user's shell would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_runtime.cli import bundle, predict

Called = Callable[..., Result]
Process = Callable[..., subprocess.CompletedProcess[bytes]]


def _caller(command: object) -> Called:
    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output, result.output
        return result

    return call


@pytest.fixture
def edge_predict() -> Called:
    return _caller(predict.main)


@pytest.fixture
def edge_bundle() -> Called:
    return _caller(bundle.main)


@pytest.fixture
def process() -> Process:
    """Run ``python -m <module> <arguments>`` in a process of its own."""

    def run(module: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        root = Path(__file__).parents[3]
        done = subprocess.run(command, check=False, capture_output=True, timeout=120, cwd=root, **options)  # type: ignore[call-overload]
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    return run
