"""Folders of image files, and what the discovery returns for them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.images.discovery import look_into

PIXELS = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


PNG = encoded("PNG")


def fill(root: Path, entries: dict[str, bytes]) -> Path:
    for name, data in entries.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def images(root: Path) -> list[str]:
    return [os.path.relpath(image.path, root) for image in look_into(root).images]


def reasons(root: Path) -> dict[str, str]:
    return {os.path.relpath(item.path, root): item.reason.value for item in look_into(root).left_out}
