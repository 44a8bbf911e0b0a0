"""The networks that are measured: the files of a bundle, and images for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.contestant import ROOT
from benchmarks.task import Circle, Task
from edge_runtime import ImageError, Predictor, Runtime
from edge_runtime.bundle.bundle import Bundle, find, shipped
from edge_runtime.bundle.manifest import Format, Precision
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL

IMAGES = 40
"""Images of a network, if no other number is given."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm", ".bmp")
_DRAWN_PX = {50: 50, 128: 1024, 160: 500, 192: 500}
"""Side of a network's input → side of a drawn image, as published images of its kind have it."""
_FINDING = {"breast-us-lesion": 8, "mias-region": 20}
"""Name of a bundle → the image's shorter side divided by the radius of a usual finding."""


@dataclass(frozen=True)
class Network:
    """A network with its files and images.

    Attributes:
        name: the bundle's name.
        files: format and precision → path of the model file.
        labels: names of its outputs; of a sigmoid head, the positive label alone.
        paths: the images.
        regions: a marked region in each image, for a model of regions; empty for others.
        source: what the images are, for the table.
        side_px: side of the network's input in pixels.
        colour: the input has three channels.
    """

    name: str
    files: dict[tuple[Format, Precision], Path]
    labels: tuple[str, ...]
    paths: tuple[str, ...]
    regions: tuple[Circle, ...]
    source: str
    side_px: int
    colour: bool

    def file(self, form: Format, precision: Precision = Precision.INT8) -> str:
        """Return the path of a model file."""
        return str(self.files[form, precision])

    def task(
        self,
        peer: str,
        model: str,
        kind: str = "array",
        count: int | None = None,
        options: dict[str, str] | None = None,
    ) -> Task:
        """Return the task of a peer on these images, or on the first ``count``."""
        paths, regions = self.paths[:count], self.regions[:count]
        return Task(f"benchmarks.peers.{peer}", self.name, model, self.labels, paths, regions, kind, options or {})


def names(chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the chosen networks, or all that ship; the default model of ``edge-predict`` comes first."""
    return tuple(sorted(chosen or shipped(), key=lambda name: (name != DEFAULT_MODEL, name)))


def load(name: str, folder: Path | None, scratch: Path, images: int = IMAGES) -> Network:
    """Return a network with images from ``folder``, or with drawn ones that are written to ``scratch``.

    Images that the guard band passes to the float32 file, and those that the model does not take, are left out: no
    peer has a second run.

    Raises:
        SystemExit: no image is left.
    """
    bundle = find(name)
    spec, side = bundle.manifest.spec, bundle.manifest.spec.size_px[0]
    paths = (
        drawn(scratch / f"{name}-images", _DRAWN_PX.get(side, side), images)
        if folder is None
        else published(folder, images)
    )
    share = _FINDING.get(name, 8)
    items = [(path, None if spec.region is None else _region(path, share)) for path in paths]
    kept = _decided_once(name, items)
    source = f"{len(kept)} of {len(items)} {'drawn' if folder is None else 'published'} images"
    if len(kept) < len(items):
        source += "; the others lie in the guard band, where float32 runs as well, or are refused"
    return Network(
        name=name,
        files=_files(bundle, scratch / name),
        labels=tuple(spec.labels) if spec.outputs > 1 else tuple(spec.positive),
        paths=tuple(path for path, _ in kept),
        regions=tuple(region for _, region in kept if region is not None),
        source=source,
        side_px=side,
        colour=spec.channels == 3,
    )


def _decided_once(name: str, items: Sequence[tuple[str, Circle | None]]) -> list[tuple[str, Circle | None]]:
    """Return the images that one file decides, and the model takes.

    Raises:
        SystemExit: there are none.
    """
    kept = []
    with Predictor.load(name, backend=Runtime.LITERT) as predictor:
        for path, region in items:
            try:
                found = predictor.predict(path, region=region)
            except ImageError:
                continue
            if found.precision == predictor.precision.value:
                kept.append((path, region))
    if not kept:
        raise SystemExit(f"{name}: found no image that its int8 file decides, expected some. Name other images.")
    return kept


def _files(bundle: Bundle, scratch: Path) -> dict[tuple[Format, Precision], Path]:
    """Return the model files; their SHA-256 is checked."""
    scratch.mkdir(parents=True, exist_ok=True)
    found = {}
    for entry in bundle.manifest.files:
        if entry.format is not None and entry.precision is not None:
            found[entry.format, entry.precision] = scratch / entry.name
            (scratch / entry.name).write_bytes(bundle.content(entry))
    return found


def _region(path: str, share: int) -> Circle:
    """Return a circle in the middle, whose radius is the shorter side divided by ``share``."""
    pixels: Any = cv2.imread(path)
    height, width = pixels.shape[:2]
    return width / 2, height / 2, min(height, width) / share


def published(folder: Path, count: int) -> tuple[str, ...]:
    """Return ``count`` images below a folder, evenly spread."""
    found = image_files(folder)
    return tuple(found[i * len(found) // count] for i in range(count))


def image_files(folder: Path) -> list[str]:
    """Return the images below a folder, sorted; files of masks are left out.

    Raises:
        SystemExit: there are none.
    """
    found = sorted(str(p) for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and not _is_mask(p.name.lower()))
    if not found:
        raise SystemExit(f"{folder}: found no images, expected PNG, JPEG, TIFF, PGM or BMP files. Name another folder.")
    return found


def _is_mask(name: str) -> bool:
    return "mask" in name or "_tumor" in name


def drawn(folder: Path, side_px: int, count: int, seed: int = 5) -> tuple[str, ...]:
    """Draw images with dark round spots on a bright ground, as PNG files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04}.png" for i in range(count)]
    for path, pixels in zip(paths, patches(count, side_px, seed), strict=True):
        cv2.imwrite(str(path), pixels)
    return tuple(map(str, paths))


def patches(count: int, side_px: int, seed: int = 5) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Draw patches like stained tissue: a pink ground with dark round nuclei, more of them in every other one."""
    rng, found = np.random.default_rng(seed), []
    for i in range(count):
        ground = rng.normal((200, 150, 215), 12, (side_px, side_px, 3)).clip(0, 255).astype(np.uint8)
        for _ in range(rng.integers(25, 60) if i % 2 else rng.integers(2, 12)):
            centre, radius = rng.integers(0, side_px, 2).tolist(), int(rng.integers(2, 5)) * side_px // 50
            cv2.circle(ground, centre, radius, rng.integers((90, 30, 60), (150, 90, 120)).tolist(), -1)
        found.append(cv2.GaussianBlur(ground, (3, 3), 0).astype(np.uint8))
    return found


KERAS = ROOT / "training" / "models"
"""Where the artifacts of the shipped networks are, with the Keras models that they were exported from."""
