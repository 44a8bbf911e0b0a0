"""Who may ask: host and origin against other web pages (DNS rebinding, cross-site requests), and a token."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_runtime.errors import UsageError
from edge_runtime.serving.problems import CLOSE, problem_response

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OPEN = ("/health/", "/page/", "/openapi.json", "/docs")
_LEAST_TOKEN = 16


@dataclass(frozen=True)
class AccessRules:
    """What a request must show.

    Attributes:
        hosts: names that the header Host may have, without port; empty for a Unix socket, which no web page reaches.
        token: the bearer token; None if none is needed.
    """

    hosts: tuple[str, ...]
    token: str | None


def read_token(path: Path) -> str:
    """Return the token in a file, without white space around it.

    Raises:
        UsageError: the file cannot be read, or the token is short.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"{path}: found no readable text, expected a file with a token. Correct --token-file."
        ) from None
    if len(token) < _LEAST_TOKEN:
        raise UsageError(
            f"{path}: found a token of {len(token)} characters, expected {_LEAST_TOKEN} or more. Make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


class Access:
    """ASGI middleware that refuses a request before anything of it is read."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a permitted request on."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            status, code, message = refusal
            headers = {**CLOSE, **({"WWW-Authenticate": "Bearer"} if status == 401 else {})}
            await problem_response(status, code, message, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers, rules = Headers(scope=scope), self._rules
        host = headers.get("host", "")
        if rules.hosts and _name(host) not in rules.hosts:
            message = "found another Host than this service has, expected one of its own. Name it with --allowed-host."
            return 421, "host_not_allowed", message
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "origin_not_allowed", "found a request of another web page, expected this service's own page."
        if rules.token is None or scope["path"] == "/" or scope["path"].startswith(_OPEN):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), rules.token.encode()):
            return None
        return 401, "unauthorized", "found no valid token, expected the header Authorization: Bearer TOKEN."


def _name(host: str) -> str:
    """Return the name or address in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def hosts_of(bound: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the names for which a service on the address ``bound`` answers."""
    own = LOOPBACK if bound in LOOPBACK else (bound.lower(),)
    return (*own, *(name.lower() for name in allowed))
