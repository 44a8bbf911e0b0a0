"""Sign the folder of a bundle. This is done where bundles are made, not on devices."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, find
from edge_runtime.bundle.signing.keys import PublicKey, read_private_key
from edge_runtime.bundle.signing.signatures import sign
from edge_runtime.errors import BundleNotFoundError, UsageError
from edge_runtime.platform.atomic_files import write_whole


def sign_folder(folder: Path, private: Path) -> PublicKey:
    """Verify the bundle in ``folder``, write ``bundle.sig`` beside its manifest, and return the signing key.

    An earlier signature is replaced.

    Raises:
        BundleError: the bundle is damaged or incomplete, so it must not be signed.
        KeyFileError: ``private`` is not a key that can sign.
        SigningMissingError: ``cryptography`` is not installed.
        UsageError: the folder cannot be written.
    """
    if not folder.is_dir():
        raise BundleNotFoundError(f"{folder}: found no folder, expected a bundle. Sign the folder, then zip it.")
    key = read_private_key(private)
    bundle = find(folder.resolve())  # an absolute path, as a relative one could be the name of a shipped model
    bundle.verify()
    try:
        write_whole(folder / SIGNATURE, sign(bundle.read_file(MANIFEST), private))
    except OSError as error:
        raise UsageError(f"{folder}: {SIGNATURE} cannot be written ({error.strerror}). Sign a copy of it.") from None
    return key.public
