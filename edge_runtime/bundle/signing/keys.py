"""Ed25519 keys in PEM files. Only this module imports the package ``cryptography``, and only when a key is used."""

from __future__ import annotations

import hashlib
import os
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import KeyFileError, SigningMissingError
from edge_runtime.platform.regular_files import read_regular, reason

_PUBLIC_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_LARGEST_KEY_FILE = 1 << 16


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key of 32 bytes."""

    raw: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the 32 bytes; identifies the key in ``bundle.sig`` and in messages."""
        return hashlib.sha256(self.raw).hexdigest()


@dataclass(frozen=True)
class PrivateKey:
    """An Ed25519 private key: its public key, and a function that signs bytes (64-byte signature, RFC 8032)."""

    public: PublicKey
    sign: Callable[[bytes], bytes]


def write_key_pair(private: Path) -> PublicKey:
    """Write a new key pair: ``private`` (PKCS #8 PEM, mode 0600, not encrypted) and ``private`` + ``.pub`` (PEM).

    Raises:
        KeyFileError: one of the files exists already, as keys are never overwritten, or cannot be written.
        SigningMissingError: ``cryptography`` is not installed.
    """
    crypto = package()
    encoding = crypto.serialization
    public = private.with_name(private.name + ".pub")
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise KeyFileError(f"{path}: found an existing file, and a key is never overwritten. Name another file.")
    key = crypto.ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(encoding.Encoding.PEM, encoding.PrivateFormat.PKCS8, encoding.NoEncryption())
    half = encoding.PublicFormat.SubjectPublicKeyInfo
    _write_new(private, secret, 0o600)
    _write_new(public, key.public_key().public_bytes(encoding.Encoding.PEM, half), 0o644)
    return _public(crypto, key.public_key())


def read_private_key(path: Path) -> PrivateKey:
    """Return the Ed25519 private key in an unencrypted PEM file.

    Raises:
        KeyFileError: the file is missing, or does not contain such a key.
        SigningMissingError: ``cryptography`` is not installed.
    """
    crypto = package()
    try:
        key = crypto.serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, crypto.unsupported):
        key = None
    if not isinstance(key, crypto.ed25519.Ed25519PrivateKey):
        raise KeyFileError(
            f"{path}: found no private key that can sign, expected an unencrypted Ed25519 key in PEM. "
            "Make one with edge-bundle key."
        )
    return PrivateKey(_public(crypto, key.public_key()), key.sign)


def read_public_keys(path: Path) -> tuple[PublicKey, ...]:
    """Return the Ed25519 public keys in a PEM file; several keys allow a change of keys.

    Raises:
        KeyFileError: the file is missing, or contains anything but such keys.
        SigningMissingError: ``cryptography`` is not installed.
    """
    crypto, data = package(), _read(path)
    blocks = _PUBLIC_BLOCK.findall(data)
    try:
        keys = [crypto.serialization.load_pem_public_key(block) for block in blocks]
    except (ValueError, crypto.unsupported):
        keys = []
    if not keys or not all(isinstance(key, crypto.ed25519.Ed25519PublicKey) for key in keys):
        private = " This is a private key: keep it off devices." if b"PRIVATE KEY" in data else ""
        raise KeyFileError(
            f"{path}: found no Ed25519 public key, expected the .pub file that edge-bundle key wrote.{private}"
        )
    return tuple(_public(crypto, key) for key in keys)


@dataclass(frozen=True)
class Cryptography:
    """The parts of the package ``cryptography`` that this module uses."""

    ed25519: types.ModuleType
    serialization: types.ModuleType
    invalid: type[Exception]
    unsupported: type[Exception]


def package() -> Cryptography:
    """Return the required parts of ``cryptography``.

    Raises:
        SigningMissingError: it is not installed or cannot be imported.
    """
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise SigningMissingError(
            f"A key is trusted or used, but the package cryptography cannot be imported ({error}). Signatures need it: "
            'pip install "edge-predict[sign]"'
        ) from None
    return Cryptography(ed25519, serialization, exceptions.InvalidSignature, exceptions.UnsupportedAlgorithm)


def _public(crypto: Cryptography, key: object) -> PublicKey:
    encoding = crypto.serialization
    raw: bytes = key.public_bytes(encoding.Encoding.Raw, encoding.PublicFormat.Raw)  # type: ignore[attr-defined]
    return PublicKey(raw)


def _read(path: Path) -> bytes:
    try:
        data = read_regular(path, most=_LARGEST_KEY_FILE)
    except OSError as error:
        raise KeyFileError(f"{path}: found no readable key ({reason(error)}). Name the key file.") from None
    if not data.strip():
        raise KeyFileError(f"{path}: found an empty file, expected a key that edge-bundle key wrote. Copy it again.")
    return data


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Create a new file; never write to an existing file or link."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written ({error.strerror}). Name another file.") from None
