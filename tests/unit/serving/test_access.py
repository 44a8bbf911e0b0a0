"""Tokens, names of this service, and pages of other sites."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.errors import UsageError
from edge_runtime.serving.access import Access, is_loopback, own_names, read_tokens
from edge_runtime.serving.app import Service
from edge_runtime.serving.problems import Problem
from tests.unit.serving.asgi import ask

TOKEN = "a-token-of-many-characters"
NAMES = own_names("Scanner.example")


def found(access: Access, path: str = "/v1/models", **headers: str) -> str | None:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    try:
        access.check(path, given)
    except Problem as problem:
        return problem.code
    return None


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7", "scanner.example"]
)
def test_addresses_and_own_names_are_ours(host: str) -> None:
    assert found(Access(hosts=NAMES), host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8000", "", "127.0.0.1.evil.example", "[evil]"]
)
def test_other_names_are_refused_as_dns_may_be_rebound(host: str) -> None:
    assert found(Access(hosts=NAMES), host=host) == "host_unknown"
    assert found(Access(hosts=None), host=host) is None, "no browser opens a Unix socket"


@pytest.mark.parametrize(
    "headers, code",
    [
        ({"origin": "http://localhost:8000"}, None),
        ({"origin": "https://localhost:8000"}, None),
        ({"origin": "http://localhost:9000"}, "origin_foreign"),
        ({"origin": "https://evil.example"}, "origin_foreign"),
        ({"origin": "null"}, "origin_foreign"),
        ({"sec_fetch_site": "cross-site"}, "origin_foreign"),
        ({"sec_fetch_site": "same-site"}, "origin_foreign"),
        ({"sec_fetch_site": "same-origin", "origin": "http://localhost:8000"}, None),
        ({"sec_fetch_site": "none"}, None),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, None),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "origin": "null"}, "origin_foreign"),
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str], code: str | None) -> None:
    assert found(Access(hosts=NAMES), host="localhost:8000", **headers) == code


def test_a_token_is_needed_for_everything_but_page_and_health(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# of the scanner\n\nanother-token-that-is-long\n {TOKEN} \n")
    access = Access(read_tokens(file), None)
    assert len(access.tokens) == 2
    for path in ("/v1/predict", "/v1/models", "/metrics", "/v2/models/a/infer", "/v2", "/nowhere"):
        assert found(access, path) == "unauthorized"
        assert found(access, path, authorization=f"Bearer {TOKEN}") is None
        assert found(access, path, authorization=f"bearer {TOKEN}") is None
        assert found(access, path, authorization=f"Bearer {TOKEN}x") == "unauthorized"
        assert found(access, path, authorization=f"Basic {TOKEN}") == "unauthorized"
    for path in ("/", "/page/a.js", "/docs", "/openapi.json", "/health/live", "/v2/health/ready"):
        assert found(access, path) is None


def test_a_refused_request_says_how_to_send_a_token(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKEN)
    closed = Service(service.core, Access(read_tokens(file), None))
    reply = ask(closed, "POST", "/v1/predict", b"image")
    assert (reply.status, reply.code, reply.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")


@pytest.mark.parametrize("content", [None, b"", b"# only a comment\n", b"short\n", f"{TOKEN}\nshort\n".encode()])
def test_files_without_good_tokens_are_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match="tokens: "):
        read_tokens(file)


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "scanner.example")))
