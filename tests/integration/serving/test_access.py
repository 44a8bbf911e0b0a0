"""Who may ask: host, origin, token, certificates of clients."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.phantom_bundle import COMMITTED
from tests.places import ROOT
from tests.serving import Served, serving

TOKEN = "a-token-that-is-long-enough"


def refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_runtime.cli.serve", str(COMMITTED), "--port", "0", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, timeout=60, check=False
    )


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]", "", "a b"])
def test_another_host_is_refused(served: Served, host: str) -> None:
    found = served.ask("/v1/models", host=host)
    assert found.status in (400, 421)
    if found.status == 421:
        assert found.json["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "LOCALHOST"])
def test_names_of_loopback_are_taken(served: Served, host: str) -> None:
    assert served.ask("/v1/models", host=host).status == 200


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}]
)
def test_a_request_of_another_page_is_refused(served: Served, image: bytes, headers: dict[str, str]) -> None:
    found = served.ask("/v1/predict", image, **headers)
    assert (found.status, found.json["error"]["code"]) == (403, "origin_not_allowed")


def test_a_request_of_the_own_page_is_answered(served: Served, image: bytes) -> None:
    own = {"origin": served.url, "sec_fetch_site": "same-origin"}
    assert served.ask("/v1/predict", image, **own).status == 200


def test_a_token_is_needed_where_there_is_one_but_not_for_page_and_health(tmp_path: Path, image: bytes) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    with serving(tmp_path / "log", str(COMMITTED), "--token-file", str(tmp_path / "token")) as served:
        for path in ("/v1/models", "/v2", "/metrics", "/v1/models/phantom-patch"):
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
                found = served.ask(path, **headers)
                assert (found.status, found.json["error"]["code"]) == (401, "unauthorized")
                assert found.headers["www-authenticate"] == "Bearer"
            assert served.ask(path, authorization=f"Bearer {TOKEN}").status == 200
        assert served.ask("/v1/predict", image, authorization=f"Bearer {TOKEN}").status == 200
        for path in ("/", "/health/live", "/health/ready", "/openapi.json", "/docs"):
            assert served.ask(path).status == 200
        assert TOKEN not in served.log.read_text()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--host", "0.0.0.0"), "expected --token-file or --tls-client-ca"),
        (("--tls-cert", "x"), "expected both or none"),
        (("--tls-client-ca", "x"), "Add --tls-cert"),
        (("--token-file", "nothing"), "expected a file with a token"),
        (("--uds", str(COMMITTED / "bundle.json")), "expected a free path for a socket"),
        (("--tls-cert", "x", "--tls-key", "y"), "the service cannot start"),
    ],
)
def test_what_is_not_safe_or_not_there_does_not_start(arguments: tuple[str, ...], said: str) -> None:
    done = refused(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_short_token_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short")
    assert "expected 16 or more" in refused("--token-file", str(tmp_path / "token")).stderr


def test_with_an_authority_only_its_clients_are_answered(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    certificates(tmp_path)
    options = [
        f"--tls-{name}={tmp_path / file}"
        for name, file in (("cert", "server.pem"), ("key", "server.key"), ("client-ca", "ca.pem"))
    ]
    with serving(tmp_path / "log", str(COMMITTED), *options, ready=False) as served:
        url = f"https://localhost:{served.port}/health/live"
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            urllib.request.urlopen(url, context=context, timeout=20).read()
        context.load_cert_chain(str(tmp_path / "client.pem"), str(tmp_path / "client.key"))
        assert urllib.request.urlopen(url, context=context, timeout=20).status == 200


def certificates(folder: Path) -> None:
    """Write an authority, and certificates of a server and a client that it signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    authority = ec.generate_private_key(ec.SECP256R1())
    today = datetime.datetime.now(datetime.timezone.utc)
    for who in ("ca", "server", "client"):
        key = authority if who == "ca" else ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        usage = x509.KeyUsage(True, False, False, False, False, who == "ca", who == "ca", False, False)
        made = (
            x509.CertificateBuilder()
            .subject_name(name(who))
            .issuer_name(name("ca"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=1))
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=who == "ca", path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
            .sign(authority, hashes.SHA256())
        )
        (folder / f"{who}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / f"{who}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
