"""Calls of the application without a network: a client that may send its body in parts, or leave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from edge_runtime.serving.app import Service
from edge_runtime.serving.body import Departure
from tests.serving import Response


async def call(
    service: Service,
    method: str,
    target: str,
    parts: Sequence[bytes] = (b"",),
    headers: dict[str, str] | None = None,
    *,
    leaves_after: float | None = None,
    pause_s: float = 0.0,
) -> Response | None:
    """Send one request; return its response, or None if there was none."""
    path, _, query = target.partition("?")
    given = {"host": "localhost", **(headers or {})}
    if len(parts) > 1:
        given.setdefault("transfer-encoding", "chunked")
    elif parts[0]:
        given.setdefault("content-length", str(len(parts[0])))
    departure = Departure()
    if leaves_after is not None:
        asyncio.get_running_loop().call_later(leaves_after, departure.happens)
    left, sent, ended = list(parts), list[dict[str, Any]](), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if left:
            if pause_s:
                await asyncio.sleep(pause_s)
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}
        if leaves_after is None:
            await ended.wait()
        else:
            await asyncio.sleep(leaves_after)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "state": {Departure.KEY: departure},
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()],
    }
    await service(scope, receive, send)
    if not sent:
        return None
    start, *bodies = sent
    heads = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Response(start["status"], heads, b"".join(body["body"] for body in bodies))


def ask(service: Service, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
    """Send one request that gets a response; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = asyncio.run(call(service, method, target, (body,), named))
    assert reply is not None
    return reply


def form(image: bytes | None, name: str | None = None, **fields: str) -> tuple[bytes, str]:
    """Return a multipart body and its Content-Type."""
    parts = [(f'name="{key}"', value.encode()) for key, value in fields.items()]
    if image is not None:
        parts.append(('name="image"' + ("" if name is None else f'; filename="{name}"'), image))
    lines = [
        f"--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts
    ]
    return b"".join([*lines, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"
