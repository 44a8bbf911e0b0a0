"""Sign the folder of a bundle: where bundles are made, never on the device that runs them."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, find
from edge_runtime.bundle.signing.keys import PublicKey, read_private_key
from edge_runtime.bundle.signing.signatures import sign
from edge_runtime.errors import BundleNotFoundError, UsageError
from edge_runtime.platform.atomic_files import write_whole


def sign_folder(folder: Path, private: Path) -> PublicKey:
    """Verify the bundle in ``folder`` and write ``bundle.sig`` beside its manifest; return the key it was signed with.

    An earlier signature is replaced.

    Raises:
        BundleError: the bundle is not whole: a signature would vouch for damage.
        KeyFileError: ``private`` cannot sign.
        SigningMissingError: ``cryptography`` is not installed.
        UsageError: the folder cannot be written.
    """
    if not folder.is_dir():
        raise BundleNotFoundError(f"{folder}: found no folder, expected a bundle's. Sign the folder, then zip it.")
    key = read_private_key(private)
    bundle = find(folder.resolve())  # a path: a folder called as a shipped model is meant itself
    bundle.verify()
    try:
        write_whole(folder / SIGNATURE, sign(bundle.read_file(MANIFEST), private))
    except OSError as error:
        raise UsageError(f"{folder}: {SIGNATURE} cannot be written ({error.strerror}). Sign a copy of it.") from None
    return key.public
