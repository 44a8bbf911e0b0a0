"""Ed25519 signatures (RFC 8032) of ``bundle.json``, which contains the SHA-256 of every other file.

``bundle.sig`` is two lines of ASCII: the SHA-256 of the public key's 32 bytes, and the signature of :data:`DOMAIN`
followed by the exact bytes of ``bundle.json``.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.bundle.containers import MANIFEST, SIGNATURE, Container, Reader
from edge_runtime.bundle.signing.keys import PublicKey, package, read_private_key, read_public_keys
from edge_runtime.errors import SignatureError
from edge_runtime.platform.regular_files import reason

DOMAIN = b"edge-predict bundle.json, signature 1\0"
"""Prefix of the signed bytes, so that no signature for another purpose with the same key is valid for a bundle."""

REPORT_DOMAIN = b"edge-predict acceptance.json, signature 1\0"
"""The same for the report of a site acceptance."""

AUDIT_DOMAIN = b"edge-predict audit head, signature 1\0"
"""The same for the head of an audit log."""

SITE_POLICY_DOMAIN = b"edge-predict site-policy.json, signature 1\0"
"""The same for a site policy."""

_TEXT = re.compile(rb"key sha256 ([0-9a-f]{64})\ned25519 ([0-9a-f]{128})\n")


def sign(content: bytes, private: Path, domain: bytes = DOMAIN) -> bytes:
    """Return the content of a signature file for ``content``, by default the bytes of a ``bundle.json``.

    Raises:
        KeyFileError: ``private`` is not an unencrypted Ed25519 private key.
        SigningMissingError: ``cryptography`` is not installed.
    """
    key = read_private_key(private)
    return f"key sha256 {key.public.fingerprint}\ned25519 {key.sign(domain + content).hex()}\n".encode("ascii")


def require(container: Container, manifest: bytes, trusted: Path) -> PublicKey:
    """Return the key in file ``trusted`` that signed ``manifest``, the bytes of the container's ``bundle.json``.

    Raises:
        SignatureError: there is no signature (``signature_missing``), or see :func:`check`.
        KeyFileError: ``trusted`` contains no public key.
        SigningMissingError: ``cryptography`` is not installed.
    """
    keys = read_public_keys(trusted)
    if SIGNATURE not in container.names:
        raise unsigned(container.where, "sign it with edge-bundle sign, or install a signed bundle")
    return check(read_signature(container.read, container.where), manifest, keys, container.where)


def read_signature(read: Reader, where: str) -> bytes:
    """Return the bytes of ``bundle.sig``.

    Raises:
        SignatureError: ``signature_unreadable``.
    """
    try:
        return read(SIGNATURE)
    except OSError as error:
        raise _unreadable(where, f"cannot be read ({reason(error)})") from None


def check(
    signature: bytes, content: bytes, keys: tuple[PublicKey, ...], where: str, domain: bytes = DOMAIN
) -> PublicKey:
    """Return the key of ``keys`` that signed ``content``, by default the bytes of ``bundle.json`` in ``where``.

    Raises:
        SignatureError: ``signature_unreadable``, ``signature_other_key`` or ``signature_wrong``.
        SigningMissingError: ``cryptography`` is not installed.
    """
    name, value = _parsed(signature, where, SIGNATURE if domain == DOMAIN else "its signature")
    signer = next((key for key in keys if key.fingerprint == name), None)
    if signer is None:
        trusted = ", ".join(key.fingerprint[:16] for key in keys)
        remedy = "Install a bundle that its maker signed" if domain == DOMAIN else "Sign it"
        message = f"{where}: found a signature by key {name[:16]}, expected {trusted}. {remedy} with the trusted key."
        raise SignatureError(message, code="signature_other_key")
    if not _fits(value, domain + content, signer):
        subject, again = (MANIFEST, "Install the bundle") if domain == DOMAIN else ("its content", "Fetch both")
        message = (
            f"{where}: {subject} does not match the signature by key {name[:16]}. One of them was altered. "
            f"{again} again."
        )
        raise SignatureError(message, code="signature_wrong")
    return signer


def signer_name(signature: bytes, where: str) -> str:
    """Return the fingerprint (hex) of the key named in ``bundle.sig``, without checking the signature.

    Raises:
        SignatureError: ``signature_unreadable``.
    """
    return _parsed(signature, where)[0]


def unsigned(where: object, remedy: str) -> SignatureError:
    """Return the error for a bundle without a signature."""
    message = f"{where}: found no {SIGNATURE}, expected a signature by the trusted key: {remedy}."
    return SignatureError(message, code="signature_missing")


def _parsed(signature: bytes, where: str, name: str = SIGNATURE) -> tuple[str, bytes]:
    text = _TEXT.fullmatch(signature)
    if text is None:
        raise _unreadable(where, "is damaged, expected two lines as edge-bundle sign writes", name)
    return text[1].decode("ascii"), bytes.fromhex(text[2].decode("ascii"))


def _unreadable(where: str, fault: str, name: str = SIGNATURE) -> SignatureError:
    return SignatureError(f"{where}: {name} {fault}. Copy it again.", code="signature_unreadable")


def _fits(signature: bytes, signed: bytes, signer: PublicKey) -> bool:
    crypto = package()
    try:
        crypto.ed25519.Ed25519PublicKey.from_public_bytes(signer.raw).verify(signature, signed)
    except crypto.invalid:
        return False
    return True
