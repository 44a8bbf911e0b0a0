"""Start, stop, readiness, models that are installed meanwhile, sockets, metrics and the description."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from tests.phantom_bundle import COMMITTED
from tests.places import ROOT
from tests.serving import Served, serving

NAME = "phantom-patch"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def install(version: str, folder: Path, models: Path) -> None:
    """Install the phantom bundle under another version."""
    bundle = folder / version
    shutil.copytree(COMMITTED, bundle)
    manifest = json.loads((bundle / "bundle.json").read_text())
    _install_as(manifest, version, bundle)
    command = [sys.executable, "-m", "edge_runtime.cli.bundle", "install", str(bundle)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EDGE_MODELS": str(models)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def _install_as(manifest: dict[str, object], version: str, bundle: Path) -> None:
    """Write the spec's version into manifest and model files, with new hashes."""
    import hashlib

    from edge_runtime.bundle.spec import ModelSpec
    from edge_runtime.serialisation.records import from_json
    from export.converters import tflite_file, to_onnx

    spec = manifest["spec"]
    assert isinstance(spec, dict)
    spec["version"] = version
    written = from_json(ModelSpec, json.dumps(spec).encode(), "spec")
    files = manifest["files"]
    assert isinstance(files, list)
    for entry in files:
        path = bundle / entry["name"]
        if entry.get("format") is not None:
            {"tflite": tflite_file.embed, "onnx": to_onnx.embed}[entry["format"]](path, written)
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        entry["size_bytes"] = path.stat().st_size
    (bundle / "bundle.json").write_text(json.dumps(manifest))


def test_it_is_ready_only_after_every_self_test(tmp_path: Path, image: bytes) -> None:
    with serving(tmp_path / "log", "idc-patch-compact", ready=False) as served:
        first = served.ask("/health/ready")
        if first.status == 503:
            assert "self-test has not run" in first.json["models"]["idc-patch-compact"]
            early = served.ask("/v1/predict", image)
            assert early.status in (200, 503)
        served.await_ready()
        assert served.ask("/v1/predict", image).status == 200
        assert [event["passed"] for event in served.events() if event["event"] == "selftest"] == [True]


def test_a_model_whose_recorded_answers_differ_is_not_served(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(COMMITTED, damaged)
    with np.load(damaged / "golden.npz", allow_pickle=False) as found:
        arrays = dict(found)
    changed = {name: (value + 1 if value.dtype.kind == "f" else value) for name, value in arrays.items()}
    np.savez_compressed(damaged / "golden.npz", **changed)
    _install_as(json.loads((damaged / "bundle.json").read_text()), "1.0.0", damaged)
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime.cli.serve", str(damaged), "--port", "0"],
        capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "error [known_answers]" in done.stderr


def test_a_model_that_is_installed_is_taken_over_without_a_lost_request(tmp_path: Path, image: bytes) -> None:
    models = tmp_path / "models"
    install("1.0.0", tmp_path, models)
    with serving(tmp_path / "log", NAME, EDGE_MODELS=str(models)) as served:
        stop, statuses, versions = threading.Event(), [], []

        def ask() -> None:
            while not stop.is_set():
                found = served.ask("/v1/predict", image)
                statuses.append(found.status)
                versions.append(found.json.get("version"))

        with ThreadPoolExecutor(4) as clients:
            for _ in range(4):
                clients.submit(ask)
            install("1.1.0", tmp_path, models)
            end = time.monotonic() + 30
            while "1.1.0" not in versions and time.monotonic() < end:
                time.sleep(0.05)
            stop.set()
        assert set(statuses) == {200}
        assert set(versions) == {"1.0.0", "1.1.0"}
        assert served.ask("/v1/models").json["models"][0]["version"] == "1.1.0"
        assert [event["version"] for event in served.events() if event["event"] == "model_replaced"] == ["1.1.0"]


def test_a_signal_to_stop_answers_what_was_accepted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2500, 2500, 3), dtype=np.uint8)
    slide = cv2.imencode(".png", noise)[1].tobytes()
    with serving(tmp_path / "log", str(COMMITTED)) as served, ThreadPoolExecutor(2) as clients:
        asked = [clients.submit(served.ask, "/v1/tiles", slide) for _ in range(2)]
        while "edge_queue 2.0" not in served.ask("/metrics").body.decode():
            assert not all(each.done() for each in asked)
        stopped = clients.submit(served.stop)
        assert [each.result().status for each in asked] == [200, 200]
        assert stopped.result() in (0, -15, 143)
        said = [(event["event"], event.get("status")) for event in served.events()]
        assert ("request", 200) in said[said.index(("stopping", None)) :]


def test_it_listens_on_a_unix_socket(tmp_path: Path, image: bytes) -> None:
    path = tmp_path / "edge.sock"
    for _ in range(2):  # the second finds the socket of the first
        with serving(tmp_path / "log", str(COMMITTED), "--uds", str(path), ready=False) as served:
            with closing(UnixConnection(path)) as connection:
                connection.request("GET", "/v1/models")
                assert json.loads(connection.getresponse().read())["models"][0]["name"] == NAME
            served.process.kill()
            served.process.wait()


def test_it_takes_the_socket_that_systemd_passes(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    script = (
        f"import os; os.dup2({listener.fileno()}, 3, inheritable=True); os.environ['LISTEN_PID'] = str(os.getpid()); "
        f"os.environ['LISTEN_FDS'] = '1'; from edge_runtime.cli.serve import main; main([{str(COMMITTED)!r}])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        pass_fds=[listener.fileno()],
        env={"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", "/health/live")
            assert connection.getresponse().read()
    finally:
        process.kill()
        process.communicate()
        listener.close()


def test_counters_tell_decisions_refusals_and_latency(served: Served, image: bytes) -> None:
    served.ask("/v1/predict", image)
    served.ask("/v1/predict", b"no image")
    text = served.ask("/metrics").body.decode()
    for line in (
        "edge_ready 1.0",
        "edge_queue 0.0",
        'edge_refusals_total{code="image_format"',
        "edge_decisions_total{decision=",
    ):
        assert line in text
    assert 'edge_request_seconds_bucket{le="0.5",route="/v1/predict"}' in text


def test_the_description_is_valid_and_its_schema_holds_for_answers(served: Served, image: bytes) -> None:
    described = served.ask("/openapi.json").json
    assert described["openapi"] == "3.1.0"
    schema = {"$ref": "#/components/schemas/answer", "components": described["components"]}
    jsonschema.Draft202012Validator(schema).validate(served.ask("/v1/predict", image).json)
    schema["$ref"] = "#/components/schemas/failure"
    jsonschema.Draft202012Validator(schema).validate(served.ask("/v1/predict", b"no image").json)
    page = served.ask("/docs").body.decode()
    assert "<script" not in page and "http" not in page.replace("HTTP", "")
    for path in described["paths"]:
        assert path.replace("{name}", "") in page


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['starlette'] = None; from edge_runtime.cli.serve import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 2
    assert "edge-predict[serve]" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["/", "/page/script/main.js", "/page/catalogue/de.json"])
def test_the_pages_files_are_sent_with_a_strict_policy(served: Served, path: str) -> None:
    found = served.ask(path)
    assert found.status == 200
    assert found.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert served.ask("/page/../pyproject.toml").status == 404
