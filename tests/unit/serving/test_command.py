"""The command line of ``edge-serve``: what it refuses, and what it hands on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_runtime.assurance.audit.recorder import Recorder
from edge_runtime.cli import serve
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.serving import server as serving_server
from edge_runtime.serving.loaded_model import ModelOptions
from edge_runtime.serving.server import Notifier, ServeOptions, Tls
from tests.places import ROOT

TOKEN = "a-token-of-many-characters"


class Served:
    """Stands in for :func:`edge_runtime.serving.server.serve` and keeps what it gets."""

    def __init__(self) -> None:
        self.places: list[Any] = []

    def __call__(
        self,
        sources: tuple[str, ...],
        models: ModelOptions,
        options: ServeOptions,
        listen: Any,
        notifier: Notifier,
        recorder: Recorder,
    ) -> None:
        self.sources, self.models, self.options, self.recorder = sources, models, options, recorder
        for each in listen():
            self.places.append(each.getsockname())
            each.close()
        for tell in (notifier.alive, notifier.ready, notifier.stopping):
            tell()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    stand_in = Served()
    monkeypatch.setattr(serving_server, "serve", stand_in)
    return stand_in


def run(*arguments: object) -> Result:
    return CliRunner().invoke(serve.main, [str(argument) for argument in arguments])


def test_it_listens_on_loopback_with_all_models(served: Served) -> None:
    assert run("--port", 0).exit_code == 0
    assert served.sources == () and served.places[0][0] == "127.0.0.1"
    options = served.options
    assert (options.queue, options.workers, options.most_bytes, options.read_timeout_s) == (64, 1, 64 << 20, 30.0)
    assert options.access.hosts is not None and "localhost" in options.access.hosts and not options.access.tokens
    assert served.models == ModelOptions(Runtime.AUTO, Provider.CPU, 1, None)


def test_a_unix_socket_is_removed_at_the_end(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "serve.sock"
    assert run("--uds", path, "a", "b").exit_code == 0
    assert served.places == [str(path)] and served.sources == ("a", "b")
    assert served.options.access.hosts is None and not path.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "scanner.example"])
def test_other_addresses_need_a_token_or_certificates(served: Served, host: str, tmp_path: Path) -> None:
    result = run("--host", host, "--port", 0)
    assert result.exit_code == 2 and "--token-file" in result.stderr and not served.places
    result = run("--host", host, "--port", 0, "--tls-cert", "a", "--tls-key", "b")
    assert result.exit_code == 2, "encryption alone lets everybody in"


def test_a_token_or_an_authority_opens_other_addresses(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKEN)
    assert run("--host", "0.0.0.0", "--port", 0, "--token-file", file, "--host-name", "Scanner").exit_code == 0
    assert len(served.options.access.tokens) == 1
    assert served.options.access.hosts is not None and "scanner" in served.options.access.hosts
    tls = ("--tls-cert", "a", "--tls-key", "b", "--tls-client-ca", "c")
    assert run("--host", "0.0.0.0", "--port", 0, *tls).exit_code == 0
    assert served.options.tls == Tls(Path("a"), Path("b"), Path("c"))


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("--tls-cert", "a"), "belong together"),
        (("--tls-client-ca", "a"), "needs --tls-cert"),
        (("--token-file", "nowhere"), "cannot be read"),
        (("--max-bytes", "many"), "is not a size"),
        (("--max-bytes", "0"), "is not a size"),
        (("--read-timeout", "0"), "--read-timeout"),
    ],
)
def test_options_that_cannot_be_used(served: Served, arguments: tuple[str, ...], told: str) -> None:
    result = run("--port", 0, *arguments)
    assert result.exit_code == 2 and told in result.stderr and not served.places


@pytest.mark.parametrize("text, size", [("5", 5), ("3KiB", 3072), ("1 MB", 1_000_000), ("2gib", 2 << 30)])
def test_sizes(served: Served, text: str, size: int) -> None:
    run("--port", 0, "--max-bytes", text)
    assert served.options.most_bytes == size


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "h11", "prometheus_client", "python_multipart"])
def test_without_its_packages_it_names_the_extra(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from edge_runtime.cli.serve import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert 'pip install "edge-predict[serve]"' in done.stderr and "Traceback" not in done.stderr
    assert subprocess.run([*command, "--help"], stdout=subprocess.DEVNULL, env=environment, check=False).returncode == 0


def test_sockets_of_the_service_manager_are_used(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_runtime.serving import sockets

    for host, status in (("127.0.0.1", 0), ("0.0.0.0", 2)):
        handed = sockets.on_address(host, 0)
        monkeypatch.setattr(sockets, "inherited", lambda handed=handed: [handed])
        assert run().exit_code == status
        handed.close()
    path_socket = socket.socket(socket.AF_UNIX)
    monkeypatch.setattr(sockets, "inherited", lambda: [path_socket])
    assert run().exit_code == 0


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("--port", 0, "no-such-model")
    assert result.exit_code == 3 and "bundle_not_found" in result.stderr
