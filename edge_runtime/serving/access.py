"""Who may use the service: access tokens, and checks against pages of other sites in a browser of this machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edge_runtime.errors import UsageError
from edge_runtime.platform.regular_files import read_regular, reason
from edge_runtime.serving.problems import FORBIDDEN, UNAUTHORIZED, Problem

LEAST_TOKEN = 16
"""Characters of the shortest token."""
_LARGEST_FILE = 1 << 16
_PUBLIC = ("/page/", "/health/", "/v2/health/")
_PUBLIC_PATHS = frozenset(("/", "/openapi.json", "/docs"))


@dataclass(frozen=True)
class Access:
    """The rules of access.

    Attributes:
        tokens: SHA-256 of each accepted token; empty if no token is needed.
        hosts: names, besides IP addresses, under which the service may be addressed; None to accept every name, as
            on a Unix socket, which no browser can open.
    """

    tokens: frozenset[bytes] = frozenset()
    hosts: frozenset[str] | None = frozenset()

    def check(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Check one request.

        Raises:
            Problem: ``host_unknown``, ``origin_foreign`` or ``unauthorized``.
        """
        if self.hosts is not None:
            self._check_site(headers)
        if self.tokens and path not in _PUBLIC_PATHS and not path.startswith(_PUBLIC):
            self._check_token(headers)

    def _check_site(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_ours(_name_of(host)):
            raise Problem(
                FORBIDDEN,
                "host_unknown",
                "Found an unknown name in the header Host. Use an address, or start edge-serve with --host-name NAME.",
            )
        origin = headers.get(b"origin")
        foreign = origin is not None and origin.decode("latin-1").lower().partition("://")[2] != host
        if foreign or headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            if headers.get(b"sec-fetch-mode") == b"navigate" and origin is None:
                return  # a link to this page; other sites cannot read what it shows
            raise Problem(FORBIDDEN, "origin_foreign", "Found a request of another site's page. Use this service's.")

    def _is_ours(self, name: str) -> bool:
        # a site that rebinds its name to an address of this machine still sends its name
        return (self.hosts is not None and name in self.hosts) or _is_address(name)

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        known = [hmac.compare_digest(digest, each) for each in self.tokens]
        if scheme.lower() != b"bearer" or not any(known):
            raise Problem(
                UNAUTHORIZED,
                "unauthorized",
                "Found no valid access token, expected the header Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )


def read_tokens(path: Path) -> frozenset[bytes]:
    """Return the SHA-256 of each token in a file: one a line; empty lines and lines with ``#`` are ignored.

    Raises:
        UsageError: the file cannot be read, or has no token, or one that is too short.
    """
    try:
        lines = read_regular(path, most=_LARGEST_FILE).splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)}). Name a file with one token a line.") from None
    tokens = [line.strip() for line in lines if line.strip() and not line.startswith(b"#")]
    if not tokens or min(map(len, tokens)) < LEAST_TOKEN:
        raise UsageError(
            f"{path}: found no token or a short one, expected {LEAST_TOKEN} characters or more in each. "
            "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return frozenset(hashlib.sha256(token).digest() for token in tokens)


def own_names(*further: str) -> frozenset[str]:
    """Return the names of this machine, in lower case, and ``further`` ones."""
    here = socket.gethostname().lower()
    return frozenset(("localhost", here, f"{here.partition('.')[0]}.local", *(name.lower() for name in further)))


def is_loopback(host: str) -> bool:
    """Return whether an address or name is only reachable from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(maxsize=64)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(host: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
