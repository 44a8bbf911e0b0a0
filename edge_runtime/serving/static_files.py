"""The files of the page. They are listed once, so that no request can name another file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request

from edge_runtime.serving.problems import NOT_FOUND, Problem
from edge_runtime.serving.replies import NOT_MODIFIED, Reply, headers_of

PAGE = Path(__file__).parent / "page"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


class StaticFiles:
    """The files below a folder, by their path with slashes."""

    def __init__(self, folder: Path = PAGE) -> None:
        found = (path for path in folder.rglob("*") if path.is_file() and path.suffix in TYPES)
        self._files = {path.relative_to(folder).as_posix(): path for path in found}

    def response(self, name: str, request: Request) -> Reply:
        """Return a file.

        Raises:
            Problem: ``not_found``.
        """
        path = self._files.get(name)
        if path is None:
            raise Problem(NOT_FOUND, "not_found", "Found nothing at this path. See /docs.")
        return content(path.read_bytes(), TYPES[path.suffix], request)


def content(data: bytes, media_type: str, request: Request) -> Reply:
    """Return fixed bytes, or 304 if the browser has them."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
    if request.headers.get("if-none-match") == tag:
        return Reply(b"", NOT_MODIFIED, headers_of(media_type, headers, cache=True))
    return Reply(data, headers=headers_of(media_type, headers, cache=True))
