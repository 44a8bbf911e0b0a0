"""A model that ships, as another version of itself: it runs, verifies and installs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.bundle.bundle import SHIPPED, describe_files, find, write_manifest

NAME = "idc-patch-compact"
VERSION = find(NAME).manifest.spec.version
NEWER = VERSION[:-1] + chr(ord(VERSION[-1]) + 1)
"""A version that is newer and as long, for :func:`version`."""


def version(folder: Path, number: str) -> Path:
    """Write the bundle as version ``number`` into ``folder``; the spec inside its model files must keep its length."""
    shutil.copytree(Path(SHIPPED, NAME), folder)
    manifest = find(folder).manifest
    old, new = (f'"version":"{v}"'.encode() for v in (manifest.spec.version, number))
    assert len(old) == len(new)
    for entry in manifest.files:
        if entry.format is not None:
            path = folder / entry.name
            assert path.read_bytes().count(old) == 1
            path.write_bytes(path.read_bytes().replace(old, new))
    rows = [(e.name, e.role, e.format, e.precision) for e in manifest.files]
    spec = replace(manifest.spec, version=number)
    write_manifest(folder, replace(manifest, spec=spec, files=describe_files(folder, rows)))
    assert find(folder).verify() == len(rows)
    return folder


def image(path: Path, seed: int = 0) -> Path:
    """Write a made-up patch as PNG; another seed is another patch."""
    noise = np.random.default_rng(seed).normal(0, 20, (50, 50, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), (np.full((50, 50, 3), (190, 140, 200)) + noise).clip(0, 255).astype(np.uint8))
    return path
