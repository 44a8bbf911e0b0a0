"""Under a trusted key nothing opens but what its owner signed, to the last bit."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, TRUSTED_KEY, find, key_in_force
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from edge_runtime.bundle.signing import keys
from edge_runtime.bundle.signing.keys import PublicKey, read_public_keys, write_key_pair
from edge_runtime.bundle.signing.sealing import sign_folder
from edge_runtime.bundle.signing.signatures import sign
from edge_runtime.errors import (
    BundleError,
    BundleNotFoundError,
    EdgeError,
    IntegrityError,
    KeyFileError,
    ManifestError,
    SignatureError,
    SigningMissingError,
)
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import CARD, FILES, MODEL

# As docs/reference/bundle.md states it; the code's own constant would only prove that it equals itself.
SIGNED_BEFORE_THE_MANIFEST = b"edge-predict bundle.json, signature 1\0"

pytestmark = pytest.mark.usefixtures("no_store")


@pytest.fixture
def no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    monkeypatch.delenv(TRUSTED_KEY, raising=False)


@pytest.fixture
def maker(tmp_path: Path) -> Path:
    """A private key; ``.pub`` beside it is trusted."""
    write_key_pair(tmp_path / "maker")
    return tmp_path / "maker"


@pytest.fixture
def trusted(maker: Path) -> Path:
    return maker.with_name("maker.pub")


@pytest.fixture
def signed(tmp_path: Path, maker: Path) -> Path:
    folder = small_bundle.make(tmp_path / "signed")
    sign_folder(folder, maker)
    return folder


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_a_signed_bundle_opens_under_its_key_as_folder_and_as_zip(signed: Path, trusted: Path) -> None:
    shutil.make_archive(str(signed), "zip", signed)
    for path in (signed, signed.with_suffix(".zip")):
        assert find(path, trusted_key=trusted).verify() == FILES
    assert find(signed).verify() == FILES  # who trusts no key is not bothered by a signature


def test_openssl_finds_the_signature_valid(signed: Path, trusted: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here")
    *_, signature = (signed / SIGNATURE).read_text(encoding="ascii").split()
    (tmp_path / "raw").write_bytes(bytes.fromhex(signature))
    (tmp_path / "message").write_bytes(SIGNED_BEFORE_THE_MANIFEST + (signed / MANIFEST).read_bytes())
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", trusted, "-rawin"]
    done = subprocess.run(
        [*command, "-sigfile", tmp_path / "raw", "-in", tmp_path / "message"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, b"Signature Verified Successfully"), done.stderr


def test_every_flipped_bit_of_the_signature_is_refused(signed: Path, trusted: Path) -> None:
    path = signed / SIGNATURE
    sound = path.read_bytes()
    for bit in range(len(sound) * 8):
        path.write_bytes(flipped(sound, bit))
        with pytest.raises(SignatureError, match=str(signed)):
            find(signed, trusted_key=trusted)


def test_every_flipped_bit_of_a_signed_manifest_is_refused_before_it_is_parsed(signed: Path, trusted: Path) -> None:
    path = signed / MANIFEST
    sound = path.read_bytes()
    for bit in range(0, len(sound) * 8, 97):
        path.write_bytes(flipped(sound, bit))
        with pytest.raises(SignatureError, match="does not match the signature by key") as caught:
            find(signed, trusted_key=trusted)
        assert caught.value.code == "signature_wrong"


def unsign(folder: Path) -> Path:
    (folder / SIGNATURE).unlink()
    return folder


def resign(folder: Path) -> Path:
    write_key_pair(folder.parent / "stranger")
    sign_folder(folder, folder.parent / "stranger")
    return folder


def sign_without_domain(folder: Path) -> Path:
    name = read_public_keys(folder.parent / "maker.pub")[0].fingerprint
    value = keys.read_private_key(folder.parent / "maker").sign((folder / MANIFEST).read_bytes()).hex()
    (folder / SIGNATURE).write_text(f"key sha256 {name}\ned25519 {value}\n", encoding="ascii")
    return folder


def write(name: str, data: bytes) -> Callable[[Path], Path]:
    def change(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder

    return change


def link_signature_out(folder: Path) -> Path:
    (folder / SIGNATURE).rename(folder.parent / "elsewhere")
    (folder / SIGNATURE).symlink_to(folder.parent / "elsewhere")
    return folder


def zip_unsigned(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name in (MANIFEST, MODEL, CARD):
            archive.write(folder / name, name)
    return path


# What is done to a signed bundle, the class and the code of the refusal, and words of the message.
REFUSED: dict[str, tuple[Callable[[Path], Path], type[BundleError], str, str]] = {
    "unsigned": (unsign, SignatureError, "signature_missing", r"found no bundle\.sig, expected a signature by the"),
    "signed by another": (
        resign,
        SignatureError,
        "signature_other_key",
        r"found a signature by key \w{16}, expected \w{16}\.",
    ),
    "signed without the domain": (
        sign_without_domain,
        SignatureError,
        "signature_wrong",
        "does not match the signature by key",
    ),
    "empty signature": (write(SIGNATURE, b""), SignatureError, "signature_unreadable", r"bundle\.sig is damaged"),
    "signature outside": (link_signature_out, SignatureError, "signature_unreadable", "outside the bundle"),
    "a single model file": (lambda f: f / MODEL, SignatureError, "signature_missing", "a model file alone carries"),
    "a zip without": (zip_unsigned, SignatureError, "signature_missing", r"\.zip: found no bundle\.sig"),
    "a file more": (write("notes.txt", b""), IntegrityError, "integrity", r"found notes\.txt, which bundle\.json"),
    "the shipped one": (lambda f: Path(DEFAULT_MODEL), SignatureError, "signature_missing", r"found no bundle\.sig"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_key_did_not_sign_is_refused_by_name(case: str, signed: Path, trusted: Path) -> None:
    change, error, code, words = REFUSED[case]
    path = change(signed)
    with pytest.raises(error, match=words) as caught:
        find(path, trusted_key=trusted)
    assert (type(caught.value), caught.value.code, caught.value.exit_code) == (error, code, 3)


def test_an_altered_model_of_a_signed_bundle_is_refused_where_it_is_read(signed: Path, trusted: Path) -> None:
    (signed / MODEL).write_bytes(flipped((signed / MODEL).read_bytes(), 1000))
    bundle = find(signed, trusted_key=trusted)
    with pytest.raises(IntegrityError, match=rf"{MODEL} has SHA-256"):
        bundle.content(bundle.manifest.files[0])


def test_a_key_file_may_hold_several_keys(signed: Path, trusted: Path, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "next")
    both = tmp_path / "both.pub"
    both.write_bytes((tmp_path / "next.pub").read_bytes() + trusted.read_bytes())
    assert [key.fingerprint for key in read_public_keys(both)][1] == read_public_keys(trusted)[0].fingerprint
    assert find(signed, trusted_key=both).verify() == FILES
    with pytest.raises(SignatureError, match="expected"):
        find(signed, trusted_key=tmp_path / "next.pub")


def test_the_private_key_is_the_owners_alone_and_nothing_is_overwritten(tmp_path: Path) -> None:
    public = write_key_pair(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert read_public_keys(tmp_path / "k.pub") == (public,)
    assert len(public.raw) == 32
    (tmp_path / "other.pub").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("k", "other", "link"):
        with pytest.raises(KeyFileError, match="found an existing file, and a key is never overwritten"):
            write_key_pair(tmp_path / name)
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(KeyFileError, match="cannot be written"):
        write_key_pair(tmp_path / "no" / "folder")


KEY_FILES: dict[str, tuple[Callable[[Path], bytes | None], str]] = {
    "missing": (lambda folder: None, "found no readable key"),
    "empty": (lambda folder: b"", "found an empty file, expected a key"),
    "blank": (lambda folder: b" \n", "found an empty file, expected a key"),
    "too large": (lambda f: (f / "maker.pub").read_bytes() + b"\n" * (1 << 16), "expected at most 65536"),
    "text": (lambda folder: b"ssh-ed25519 AAAA", "found no Ed25519 public key"),
    "private": (lambda folder: (folder / "maker").read_bytes(), "This is a private key: keep it off devices"),
    "damaged": (lambda f: (f / "maker.pub").read_bytes().replace(b"M", b"!"), "found no Ed25519 public key"),
    "another kind": (lambda folder: x25519_key(), "found no Ed25519 public key"),
}


def x25519_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    half = serialization.PublicFormat.SubjectPublicKeyInfo
    return X25519PrivateKey.generate().public_key().public_bytes(serialization.Encoding.PEM, half)


def test_a_pipe_or_a_folder_is_no_key(signed: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pub")
    (tmp_path / "round.pub").symlink_to("round.pub")
    for name, words in (("pipe.pub", "found a pipe"), (".", "found a folder"), ("round.pub", "levels of symbolic")):
        with pytest.raises(KeyFileError, match=words):
            find(signed, trusted_key=tmp_path / name)
        with pytest.raises(KeyFileError, match=words):
            sign_folder(signed, tmp_path / name)


@pytest.mark.parametrize("case", KEY_FILES)
def test_a_trusted_key_that_cannot_be_used_stops_everything(case: str, signed: Path, tmp_path: Path) -> None:
    content, words = KEY_FILES[case]
    path, data = tmp_path / "given.pub", content(tmp_path)
    if data is not None:
        path.write_bytes(data)
    for model in (signed, signed / MODEL):
        with pytest.raises(KeyFileError, match=words) as caught:
            find(model, trusted_key=path)
        assert (caught.value.code, caught.value.exit_code) == ("key_file", 2)


@pytest.mark.parametrize("broken", ["cryptography", "cryptography.hazmat.primitives.asymmetric"])
def test_without_the_package_a_trusted_key_is_an_error_with_the_pip_command(
    broken: str, signed: Path, maker: Path, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, broken, None)
    refused: tuple[Callable[[], object], ...] = (
        lambda: find(signed, trusted_key=trusted),
        lambda: find(signed / MODEL, trusted_key=trusted),
        lambda: sign_folder(signed, maker),
        lambda: write_key_pair(maker.with_name("new")),
    )
    for call in refused:
        with pytest.raises(SigningMissingError, match=r'pip install "edge-predict\[sign\]"') as caught:
            call()
        assert (caught.value.code, caught.value.exit_code) == ("signing_missing", 3)
    assert find(signed).verify() == FILES  # without a key nothing is missing


def test_only_a_whole_bundle_is_signed(signed: Path, maker: Path) -> None:
    before = (signed / SIGNATURE).read_bytes()
    (signed / CARD).write_text("Better than any radiologist.\n", encoding="utf-8")
    with pytest.raises(IntegrityError, match=CARD):
        sign_folder(signed, maker)
    (signed / MANIFEST).write_text("{}", encoding="utf-8")
    with pytest.raises(ManifestError):
        sign_folder(signed, maker)
    with pytest.raises(BundleNotFoundError, match="found no folder"):
        sign_folder(signed / MODEL, maker)
    assert (signed / SIGNATURE).read_bytes() == before
    assert sorted(path.name for path in signed.iterdir()) == sorted([MANIFEST, SIGNATURE, MODEL, CARD])


def test_what_cannot_sign_is_named(signed: Path, trusted: Path, tmp_path: Path) -> None:
    for path in (trusted, tmp_path / "missing", signed / MODEL):
        with pytest.raises(KeyFileError):
            sign(b"{}", path)


def test_signing_twice_gives_the_same_bytes(signed: Path, maker: Path) -> None:
    before = (signed / SIGNATURE).read_bytes()
    sign_folder(signed, maker)
    assert (signed / SIGNATURE).read_bytes() == before


def test_a_folder_called_as_a_shipped_model_is_signed_itself(
    maker: Path, trusted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_bundle.make(tmp_path / DEFAULT_MODEL)
    monkeypatch.chdir(tmp_path)
    sign_folder(Path(DEFAULT_MODEL), maker)
    assert not find(DEFAULT_MODEL).names & {SIGNATURE}
    assert find(tmp_path / DEFAULT_MODEL, trusted_key=trusted).manifest.spec.name == "tiny"


def test_the_key_in_force_is_the_one_given_else_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_in_force() is None
    monkeypatch.setenv(TRUSTED_KEY, "/etc/maker.pub")
    assert key_in_force() == Path("/etc/maker.pub")
    assert key_in_force(Path("mine.pub")) == Path("mine.pub")
    for empty in ("", " "):
        monkeypatch.setenv(TRUSTED_KEY, empty)
        assert key_in_force(Path("mine.pub")) == Path("mine.pub")
        with pytest.raises(KeyFileError, match=f"found an empty value.*unset {TRUSTED_KEY}"):
            key_in_force()
    with pytest.raises(KeyFileError, match="found an empty path"):
        key_in_force(Path())


def test_a_fingerprint_is_the_sha256_of_the_32_bytes() -> None:
    # SHA-256 of 32 zero bytes, as any sha256sum prints it
    zero = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
    assert PublicKey(bytes(32)).fingerprint == zero


def test_every_new_error_is_a_named_edge_error() -> None:
    for kind in (SignatureError, SigningMissingError, KeyFileError):
        assert issubclass(kind, EdgeError)
        assert kind.default_code not in {base.default_code for base in kind.__bases__}
