"""A service that gives the answers that a test wants, so that the page is tested without any inference.

``test_with_edge_serve.py`` tests the page with the real one.
"""

from __future__ import annotations

import copy
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge_runtime.bundle.manifest_file import MANIFEST
from tests.phantom_bundle import CHECKED
from tests.places import ROOT

PAGE = ROOT / "edge_runtime" / "serving" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
CROP = {"margin": 1.5, "least_half_px": 4.0, "outside": "zero"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ANSWER: dict[str, Any] = {
    "schema": "edge-predict/2",
    "image": "bytes",
    "time": "2026-01-02T03:04:05.678Z",
    "bundle": "a" * 64,
    "sha256": "b" * 64,
    "model": "phantom-patch",
    "version": "1.0.0",
    "label": "benign",
    "scores": {"benign": 0.877, "malignant": 0.123},
    "score": 0.123,
    "confidence": 0.877,
    "cutoff": 0.414,
    "confidence_floor": 0.6,
    "site": "uncalibrated",
    "decision": "NEGATIVE",
    "reason": "BELOW_CUTOFF",
    "familiarity": 0.42,
    "contract": "c" * 64,
    "backend": "litert",
    "precision": "int8",
    "ms": {"decode": 0.5, "prepare": 0.25, "run": 1.25},
}
UNFAMILIAR = {"decision": "REFER", "reason": "UNFAMILIAR_INPUT", "familiarity": 3.5}


def answer(**changes: object) -> dict[str, Any]:
    """Return an answer of docs/prediction.schema.json with some members changed."""
    return copy.deepcopy(ANSWER) | changes


def error(code: str, message: str) -> dict[str, Any]:
    """Return the JSON of an error."""
    return {"error": {"code": code, "message": message}}


class _Server(ThreadingHTTPServer):
    """Says nothing of a browser that leaves, as what it prints would stand in the output of another test."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class Reply:
    """What the next request to predict gets; the last one is given again and again."""

    content: dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0


@dataclass
class Request:
    """A request to predict, as it came."""

    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class CannedService:
    """Serves the page's files, two models and the replies that a test puts into ``replies``."""

    def __init__(self) -> None:
        self.replies = [Reply(answer())]
        self.requests: list[Request] = []
        self.paths: list[str] = []
        self.token: str | None = None
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Listen, after :meth:`stop` on the same port again."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse every further connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def models(self) -> list[dict[str, Any]]:
        whole = {
            "name": "phantom-patch",
            "version": "1.0.0",
            "summary": "A made-up patch: malignant?",
            "labels": ["benign", "malignant"],
        }
        return [
            whole | {"region": False, "default": True},
            whole | {"name": "phantom-region", "summary": "A marked region.", "region": True, "default": False},
        ]

    def manifest(self, name: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((CHECKED / MANIFEST).read_text())
        manifest["spec"]["region"] = CROP if name == "phantom-region" else None
        return manifest


def _handler(service: CannedService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # no connection outlives a stop

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            service.paths.append(self.path)
            if path == "/" or path.startswith("/page/"):
                file = PAGE / (path.removeprefix("/page/") if path != "/" else "index.html")
                if file.is_file():
                    return self._send(file.read_bytes(), TYPES[file.suffix])
                return self._json(error("not_found", "no such file"), 404)
            if service.token is not None and self.headers.get("Authorization") != f"Bearer {service.token}":
                return self._json(error("unauthorized", "a token is needed"), 401)
            return self._json(_content(service, path))

        def do_POST(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            service.requests.append(Request(query, dict(self.headers.items()), body))
            reply = service.reply()
            time.sleep(reply.wait_s)
            self._json(reply.content, reply.status, reply.headers)

        def _json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
            self._send(json.dumps(content).encode(), TYPES[".json"], status, headers or {})

        def _send(self, body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            fixed = {"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": POLICY}
            for name, value in (fixed | {"X-Content-Type-Options": "nosniff"} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _content(service: CannedService, path: str) -> object:
    known: dict[str, Callable[[], object]] = {
        "/v1/models": lambda: {"models": service.models()},
        "/health/live": lambda: {"status": "live"},
    }
    if path in known:
        return known[path]()
    card = (CHECKED / "MODEL_CARD.md").read_text()
    return {"manifest": service.manifest(path.rpartition("/")[2]), "card": card}
