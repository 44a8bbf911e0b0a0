"""Responses as bytes: what an endpoint returns, and the headers that each response has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.serving.problems import JSON, line

OK, NOT_MODIFIED = 200, 304
RawHeaders = tuple[tuple[bytes, bytes], ...]

_FIXED: RawHeaders = ((b"x-content-type-options", b"nosniff"), (b"cross-origin-resource-policy", b"same-origin"))
_NO_STORE = ((b"cache-control", b"no-store"),)


@dataclass(frozen=True, eq=False)
class Reply:
    """A response, without the headers that depend on the request.

    Attributes:
        headers: names in lower case.
    """

    body: bytes
    status: int = OK
    headers: RawHeaders = ()


def headers_of(media_type: str, further: Mapping[str, str] | None = None, cache: bool = False) -> RawHeaders:
    """Return the headers of a response; it is not stored unless ``cache``."""
    given = {"content-type": media_type, **(further or {})}
    pairs = tuple((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in given.items())
    return (*pairs, *_FIXED, *(() if cache else _NO_STORE))


_OF_JSON = headers_of(JSON)


def json_reply(value: object, status: int = OK) -> Reply:
    """Return a value as JSON."""
    return json_bytes(line(value), status)


def json_bytes(body: bytes, status: int = OK, further: Mapping[str, str] | None = None) -> Reply:
    """Return bytes that are JSON already."""
    return Reply(body, status, headers_of(JSON, further) if further else _OF_JSON)


def sent_headers(reply: Reply, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return all headers of a response; only an empty 304 states no length."""
    found = [*reply.headers, (b"x-request-id", request_id.encode("ascii"))]
    if reply.status != NOT_MODIFIED:
        found.append((b"content-length", b"%d" % len(reply.body)))
    return found
