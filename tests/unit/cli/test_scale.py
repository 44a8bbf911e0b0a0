"""``--microns-per-pixel``: another scale is refused, an unknown one is noted, and other models take no scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.errors import ImageScaleError, UsageError
from edge_runtime.predictor import Predictor

UNKNOWN = "scale     unknown; the model is for 4 microns per pixel (--microns-per-pixel states it)"


@pytest.fixture
def model(edited_bundle: Callable[..., Path]) -> Path:
    return edited_bundle(lambda manifest: manifest["spec"].update(microns_per_pixel=4))


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "slide.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (110, 160, 3), dtype=np.uint8))
    return path


def test_a_slide_of_unknown_scale_is_answered_with_a_note(edge_predict: Any, model: Path, slide: Path) -> None:
    result = edge_predict("--model", model, "--tiles", slide)
    assert result.exit_code == 0, result.stderr
    assert UNKNOWN in result.stdout.splitlines()
    found = json.loads(edge_predict("--model", model, "--tiles", slide, "--json").stdout)
    assert "microns_per_pixel" not in found


def test_a_stated_scale_is_in_the_result_of_a_slide(edge_predict: Any, model: Path, slide: Path) -> None:
    options = ("--model", model, "--tiles", slide, "--microns-per-pixel", "4.2")
    shown = edge_predict(*options).stdout.splitlines()
    assert "scale     4.2 microns per pixel as stated, 4 expected" in shown
    found = json.loads(edge_predict(*options, "--json").stdout)
    assert found["microns_per_pixel"] == 4.2
    plain = json.loads(edge_predict("--model", model, "--tiles", slide, "--json").stdout)
    assert found["tiles"] == plain["tiles"], "the statement is compared, it changes no answer"


def test_a_slide_of_another_scale_is_refused(edge_predict: Any, model: Path, slide: Path) -> None:
    result = edge_predict("--model", model, "--tiles", slide, "--microns-per-pixel", "0.25")
    assert result.exit_code == 1
    assert "[image_scale_wrong]" in result.stdout
    assert "found 0.25 microns per pixel, expected 4 within 10%" in result.stdout
    assert "Resample the image by 0.0625 to 4 microns per pixel" in result.stdout


def test_images_of_another_scale_are_refused_before_the_first(edge_predict: Any, model: Path, slide: Path) -> None:
    result = edge_predict("--model", model, slide, "--microns-per-pixel", "5")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error [image_scale_wrong]: the images: found 5 microns per pixel, expected 4 within 10%" in result.stderr
    right = edge_predict("--model", model, slide, "--microns-per-pixel", "4")
    assert right.exit_code == 0 and "scale unknown" not in right.stderr
    unstated = edge_predict("--model", model, slide)
    assert "is for 4 microns per pixel. --microns-per-pixel states it." in unstated.stderr
    assert unstated.stdout.splitlines()[0] == right.stdout.splitlines()[0]


def test_a_model_without_a_scale_takes_none_and_notes_none(
    edge_predict: Any, phantom_bundle: Path, slide: Path
) -> None:
    for arguments in ((slide,), ("--tiles", slide)):
        result = edge_predict("--model", phantom_bundle, *arguments, "--microns-per-pixel", "4")
        assert result.exit_code == 2, result.stdout
        assert "[scale_unexpected]" in result.stderr and "Leave the scale out" in result.stderr
        assert "microns" not in edge_predict("--model", phantom_bundle, *arguments).output


def test_a_program_states_the_scale_of_one_image_or_slide(model: Path, slide: Path) -> None:
    with Predictor.load(model) as predictor:
        assert predictor.predict_tiles(slide, microns_per_pixel=4.0).microns_per_pixel == 4.0
        assert predictor.predict_tiles(slide).microns_per_pixel is None
        plain = predictor.predict(slide)
        assert predictor.predict(slide, microns_per_pixel=3.8).verdict == plain.verdict
        for ask in (predictor.predict, predictor.predict_tiles):
            with pytest.raises(ImageScaleError, match=r"slide\.png: found 8 microns per pixel, expected 4"):
                ask(slide, microns_per_pixel=8.0)
            with pytest.raises(UsageError, match="expected a number above 0"):
                ask(slide, microns_per_pixel=0.0)
