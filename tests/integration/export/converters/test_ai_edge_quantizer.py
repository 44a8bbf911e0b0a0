"""ai-edge-quantizer's files run on the device's interpreter, as int8, and a missing package is told."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.manifest import Format
from export.converters import ai_edge_quantizer, to_tflite
from export.converters.quantised_share import quantised_share
from export.errors import ConversionError
from export.quantisation.schemes import PEERS, Quantisation, Quantiser
from tests.integration.export.networks import branches, convert, dots, logits


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ai-edge")
    branches().save(folder / "model.keras")
    np.save(folder / "tensors.npy", dots(32, seed=1))
    convert(to_tflite.write_float32, folder / "model.keras", folder / "float32.tflite")
    return folder


def _error(shared: Path, how: Quantisation, out: Path) -> float:
    convert(ai_edge_quantizer.write_quantised, shared / "float32.tflite", shared / "tensors.npy", how, out)
    images = dots(32, seed=2)
    return float(np.abs(logits(out, images) - logits(shared / "float32.tflite", images)).mean())


def test_ranges_to_the_extremes_are_better_than_its_own_moving_average(shared: Path, tmp_path: Path) -> None:
    extremes = _error(shared, Quantisation(quantiser=Quantiser.AI_EDGE_EXTREMES), tmp_path / "extremes.tflite")
    average = _error(shared, Quantisation(quantiser=Quantiser.AI_EDGE), tmp_path / "average.tflite")
    assert extremes < average
    assert quantised_share(tmp_path / "extremes.tflite", Format.TFLITE).computed == 1


@pytest.mark.parametrize("how", PEERS[Format.TFLITE], ids=lambda how: how.quantiser.name)
def test_every_recipe_of_the_search_gives_a_file_that_runs(shared: Path, tmp_path: Path, how: Quantisation) -> None:
    assert np.isfinite(_error(shared, how, tmp_path / "int8.tflite"))


def test_a_missing_package_is_told(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("ai_edge_quantizer"):
            raise ImportError(f"No module named {name!r}")
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConversionError, match="python -m pip install ai-edge-quantizer"):
        ai_edge_quantizer.write_quantised("f.tflite", "t.npy", PEERS[Format.TFLITE][0], str(tmp_path / "o"))
