"""Who may use the service: addresses, tokens, certificates, and pages of other sites in the same browser."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fixtures.commands import Process
from tests.serving import Served

Started = Callable[..., Served]
Done = subprocess.CompletedProcess[bytes]
MODULE = "edge_runtime.cli.serve"
TOKEN, OTHER = "k" * 40, "o" * 40


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# two devices\n{TOKEN}\n\n{OTHER}\n", encoding="ascii")
    return path


def refused(done: Done, *words: str) -> None:
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert all(word in said for word in words), said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_addresses_need_a_token_or_certificates(process: Process, host: str) -> None:
    refused(process(MODULE, "idc-patch-compact", "--host", host), "--token-file", "--tls-client-ca", host)


def test_contradicting_options_are_refused(process: Process, tmp_path: Path) -> None:
    refused(process(MODULE, "--tls-cert", tmp_path / "a"), "--tls-key")
    refused(process(MODULE, "--tls-client-ca", tmp_path / "a"), "--tls-cert")
    refused(process(MODULE, "--max-bytes", "many"), "64MiB")
    (tmp_path / "short").write_text("secret\n")
    refused(process(MODULE, "--token-file", tmp_path / "short"), "16 characters")
    refused(process(MODULE, "--token-file", tmp_path / "none"), "cannot be read")


def test_a_taken_port_is_told(process: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(process(MODULE, "idc-patch-compact", "--port", port), str(port), "--port")


def test_a_token_opens_everything_but_the_page_and_health(started: Started, token_file: Path, phantom: bytes) -> None:
    service = started("idc-patch-compact", "--token-file", token_file).until_ready()
    for path in ("/", "/page/script/main.js", "/health/live", "/health/ready", "/v2/health/ready", "/docs"):
        assert service.get(path).status == 200
    for path in ("/v1/models", "/metrics"):
        assert (service.get(path).status, service.get(path).code) == (401, "unauthorized")
    assert service.get("/v2/models/idc-patch-compact").status == 401
    for given in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", TOKEN):
        found = service.predict(phantom, Authorization=given)
        assert (found.status, found.code) == (401, "unauthorized")
        assert found.headers["www-authenticate"] == "Bearer"
    for token in (TOKEN, OTHER):
        assert service.predict(phantom, Authorization=f"Bearer {token}").status == 200
    assert TOKEN not in service.stop()


def test_every_address_with_a_token(started: Started, token_file: Path, phantom: bytes) -> None:
    service = started("idc-patch-compact", "--host", "0.0.0.0", "--token-file", token_file).until_ready()
    assert service.predict(phantom, Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_name_that_is_bound_to_this_machine_by_others_is_refused(running: Served, host: str) -> None:
    """DNS rebinding: the page of a site, whose name suddenly means 127.0.0.1."""
    found = running.request("GET", "/v1/models", headers={"Host": host})
    assert (found.status, found.code) == (403, "host_unknown")


def test_own_names_and_addresses_are_accepted(started: Started) -> None:
    service = started("idc-patch-compact", "--host-name", "reader.ward")
    for host in ("localhost", "localhost:1", "127.0.0.1:80", "[::1]:8000", "LOCALHOST", "reader.ward:8000"):
        assert service.get("/v1/models", Host=host).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},  # another port is another site
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_a_request_of_another_sites_page_is_refused(running: Served, phantom: bytes, headers: dict[str, str]) -> None:
    for found in (running.predict(phantom, **headers), running.get("/v1/models", **headers)):
        assert (found.status, found.code) == (403, "origin_foreign")
        assert "access-control-allow-origin" not in found.headers


def test_its_own_page_and_a_link_to_it_are_accepted(running: Served, phantom: bytes) -> None:
    own = {"Origin": f"http://127.0.0.1:{running.port}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert running.predict(phantom, "?model=idc-patch-compact", **own).status == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert running.get("/", **link).status == 200
    posted = {**link, "Origin": "http://evil.example"}  # a form of another site
    assert running.predict(phantom, **posted).status == 403


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """A certificate authority of the test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self._key = folder, name, ec.generate_private_key(ec.SECP256R1())
        self.file = self._write(f"{name}.pem", self._signed(name, self._key.public_key(), True))

    def _signed(self, name: str, public: ec.EllipticCurvePublicKey, authority: bool) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        subject = x509.SubjectKeyIdentifier.from_public_key(public)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        usage = x509.KeyUsage(
            digital_signature=not authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=authority,
            crl_sign=authority,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(self.name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(subject, critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(usage, critical=True)
        )
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(*kinds))
        return self._write(f"{name}.crt", self._signed(name, key.public_key(), False)), self.folder / f"{name}.key"


def over_tls(service: Served, ours: Authority, identity: tuple[Path, Path] | None, image: bytes) -> int:
    context = ssl.create_default_context(cafile=str(ours.file))
    if identity is not None:
        context.load_cert_chain(*identity)
    client = http.client.HTTPSConnection("localhost", service.port, context=context, timeout=30)
    try:
        client.request("POST", "/v1/predict", image)
        return client.getresponse().status
    finally:
        client.close()


def test_clients_need_a_certificate_of_the_authority(started: Started, tmp_path: Path, phantom: bytes) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    cert, key = ours.issue("service")
    options = ("--host", "0.0.0.0", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ours.file)
    service = started("idc-patch-compact", *options).until_ready()
    assert over_tls(service, ours, ours.issue("device"), phantom) == 200
    for identity in (None, theirs.issue("stranger")):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            over_tls(service, ours, identity, phantom)
    assert service.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")[:4] != b"HTTP"
    assert over_tls(service, ours, ours.issue("another"), phantom) == 200


def test_a_key_of_another_certificate_is_refused(process: Process, tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    (cert, _), (_, key) = ours.issue("one"), ours.issue("two")
    refused(process(MODULE, "idc-patch-compact", "--port", 0, "--tls-cert", cert, "--tls-key", key), "TLS")
