"""The JavaScript client in Node, over the Unix socket and over TCP, and the same module in Chromium."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import chromium
from tests.debian_packages import need
from tests.integration.examples.conftest import CIRCLE, MODEL, REGION_MODEL, StandIn, predicted, steady
from tests.places import ROOT
from tests.serving import Served, serving
from tests.unit.bundle.shipped_bundle import VERSION

SOURCE = ROOT / "examples" / "javascript"
Client = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def client() -> Client:
    if shutil.which("node") is None:
        need("nodejs")

    def run(place: str | Path, *arguments: str | Path, model: str = MODEL) -> subprocess.CompletedProcess[str]:
        where = "--url" if str(place).startswith("http") else "--socket"
        command = ["node", SOURCE / "main.mjs", where, place, "--model", model, *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.fixture(scope="module")
def tcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("tcp") / "log", MODEL) as served:
        yield served


def test_a_good_image_has_the_answer_of_edge_predict(client: Client, socket: Path, images: Path, contract: str) -> None:
    good = images / "good.png"
    done = client(socket, "--json", "--expect-version", VERSION, "--expect-contract", contract, good)
    assert (done.returncode, done.stderr) == (0, "")
    assert steady(done.stdout) == predicted("--model", MODEL, str(good))
    assert client(socket, good).stdout == f"{good}: POSITIVE (ABOVE_CUTOFF), score 0.9262\n"


def test_fetch_over_tcp_gives_the_same(client: Client, tcp: Served, images: Path) -> None:
    done = client(f"{tcp.url}/", "--json", images / "good.png")
    assert done.returncode == 0, done.stderr
    assert steady(done.stdout) == predicted("--model", MODEL, str(images / "good.png"))


def test_refused_unfamiliar_and_region(client: Client, socket: Path, images: Path) -> None:
    refused = client(socket, "--json", images / "cut.png", images / "noise.png")
    first, second = map(steady, refused.stdout.splitlines())
    assert (refused.returncode, first["error"]["code"], second["reason"]) == (1, "image_truncated", "UNFAMILIAR_INPUT")
    film = images / "film.png"
    marked = client(socket, "--json", "--region", CIRCLE, film, model=REGION_MODEL)
    assert steady(marked.stdout) == predicted("--model", REGION_MODEL, "--region", CIRCLE, str(film))
    assert client(socket, film, model=REGION_MODEL).returncode == 2


def test_another_model_than_expected_gives_no_answer(client: Client, socket: Path, images: Path) -> None:
    for option in (("--expect-version", "9.9.9"), ("--expect-contract", "0" * 64), ("--model", "another")):
        done = client(socket, *option, images / "good.png")
        assert (done.returncode, done.stdout) == (3, "")


def test_a_full_queue_and_a_lost_connection_are_tried_again(client: Client, stand_in: StandIn, images: Path) -> None:
    place = Path(str(stand_in.server_address))
    stand_in.planned = [(503, {"Retry-After": "1"}), (0, {}), (200, {})]
    assert (client(place, images / "good.png").returncode, len(stand_in.asked)) == (0, 3)
    stand_in.planned = [(503, {"Retry-After": "0"})]
    done = client(place, "--attempts", "2", images / "good.png")
    assert (done.returncode, len(stand_in.asked), "[busy]" in done.stderr) == (6, 5, True)


def test_without_a_service_the_client_gives_up(client: Client, images: Path, tmp_path: Path) -> None:
    done = client(tmp_path / "nothing", "--attempts", "2", images / "good.png")
    assert (done.returncode, "error [connection]: no answer: " in done.stderr) == (6, True)
    assert client(tmp_path / "nothing").returncode == 2


class Proxy(BaseHTTPRequestHandler):
    """One address for a page of the device's maker and for the service, as a reverse proxy makes it."""

    service: int

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/v1/"):
            self._pass_on(None)
        else:
            page = (
                (SOURCE / "edge_client.mjs").read_bytes() if self.path == "/edge_client.mjs" else b"<title>page</title>"
            )
            self._send(200, "text/javascript" if self.path.endswith(".mjs") else "text/html", page)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass_on(self, body: bytes | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.service, timeout=30)
        connection.request(self.command, self.path, body)  # without the header Origin
        reply = connection.getresponse()
        self._send(reply.status, "application/json", reply.read())
        connection.close()

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


IN_THE_PAGE = """async ([bytes, model]) => {
    const { EdgeClient } = await import("/edge_client.mjs");
    const client = new EdgeClient(document.baseURI);
    await client.check({ name: model });
    const image = new Blob([new Uint8Array(bytes)]);
    const refused = await client.predict(new Blob(["no image"]), { name: model }).catch((error) => error.code);
    return { answer: await client.predict(image, { name: model }), refused };
}"""


def test_the_module_works_in_a_browser(tcp: Served, images: Path) -> None:
    handler = type("Handler", (Proxy,), {"service": tcp.port})
    with chromium.browser() as browser, ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        found = page.evaluate(IN_THE_PAGE, [list((images / "good.png").read_bytes()), MODEL])
        server.shutdown()
    assert (found["answer"]["decision"], found["refused"]) == ("POSITIVE", "image_format")
