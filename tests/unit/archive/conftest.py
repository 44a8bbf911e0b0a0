"""An archive of phantoms, planned for the committed model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import Predictor
from edge_runtime.archive.plan import Archive
from edge_runtime.archive.planning import plan_archive

Planned = Callable[..., Archive]


@pytest.fixture
def images(phantom_patches: list[Path], tmp_path: Path) -> Path:
    """A folder of 23 images, two of them bad, with a subfolder and two files that are no images."""
    root = tmp_path / "images"
    (root / "below").mkdir(parents=True)
    for number in range(21):
        shutil.copy(phantom_patches[number], root / ("below" if number % 3 else ".") / f"{number:02}.png")
    (root / "bad.png").write_bytes(b"no image")
    (root / "below" / "empty.png").touch()
    (root / "notes.txt").write_text("no image")
    (root / ".hidden").touch()
    return root


@pytest.fixture
def planned(phantom_bundle: Path, tmp_path: Path) -> Planned:
    """Return a function that plans sources into ``tmp_path / archive``."""

    def plan(*sources: object, folder: str = "archive", model: Path = phantom_bundle, **options: object) -> Archive:
        with Predictor.load(model) as predictor:
            named = [str(source) for source in sources]
            return plan_archive(named, tmp_path / folder, predictor, **{"shard_size": 5, **options})  # type: ignore[arg-type]

    return plan
