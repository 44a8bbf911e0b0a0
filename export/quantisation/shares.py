"""Compute the int8 share of a bundle's model files and write it to its manifest and model card.

    python -m export.quantisation.shares BUNDLE

computes the shares of a bundle folder again, also for bundles of earlier releases. Model files, golden vectors and all
other measured values stay unchanged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime.bundle.bundle import describe_files, find, write_manifest
from edge_runtime.bundle.manifest import FileEntry, Manifest, QuantisedShare, Role
from export.converters.quantised_share import quantised_share
from export.model_card import model_card


def shares(folder: Path, entries: Sequence[FileEntry]) -> tuple[QuantisedShare, ...]:
    """Return the int8 share of each model file of a bundle's folder."""
    return tuple(quantised_share(folder / entry.name, entry.format) for entry in entries if entry.format is not None)


def count_again(folder: Path) -> Manifest:
    """Compute the int8 shares of a bundle, write them to its manifest and model card, and return the manifest.

    Raises:
        BundleError: the bundle is incomplete or altered; nothing is written.
    """
    bundle = find(folder.resolve())
    bundle.verify()
    manifest = replace(bundle.manifest, quantised=shares(folder, bundle.manifest.files))
    (name,) = (entry.name for entry in manifest.of_role(Role.CARD))
    (folder / name).write_text(model_card(manifest), encoding="utf-8")
    (card,) = describe_files(folder, [(name, Role.CARD, None, None)])
    files = tuple(card if entry.role is Role.CARD else entry for entry in manifest.files)
    manifest = replace(manifest, files=files)
    write_manifest(folder, manifest)
    find(folder.resolve()).verify()
    return manifest


def main() -> None:
    """Process the bundles of the command line."""
    parser = argparse.ArgumentParser(prog="python -m export.quantisation.shares", description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="+")
    for folder in parser.parse_args().bundle:
        for row in count_again(folder).quantised or ():
            print(f"{folder}/{row.file}: {row.text()}")


if __name__ == "__main__":
    main()
