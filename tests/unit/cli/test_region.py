"""``edge-predict --region``: one answer a region of one image; whatever else it is given with is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from edge_runtime.predictor import Predictor
from tests.places import ROOT

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
VARIES = {"ms", "time", "check"}
VALID = jsonschema.Draft202012Validator(SCHEMA)
ASKED = ("60,45,20", "3,90.5,11")
OPTIONS = ("--region", ASKED[0], "--region", ASKED[1])


@pytest.fixture
def model(edited_bundle: Callable[..., Path]) -> Path:
    return edited_bundle(lambda manifest: manifest["spec"].update(region={"margin": 1.5, "least_half_px": 12}))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8))
    return path


def test_one_region_is_a_card_that_shows_it(edge_predict: Any, model: Path, film: Path) -> None:
    result = edge_predict("--model", model, film, "--region", ASKED[0])
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["image", str(film)]
    assert lines[1] == "region    x 60, y 45, radius 20 px"


def test_several_regions_are_a_table_in_the_order_given(edge_predict: Any, model: Path, film: Path) -> None:
    result = edge_predict("--model", model, *OPTIONS, film)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[-1] for line in result.stdout.splitlines()[3:-1]] == [f"{film}@{text}" for text in ASKED]


@pytest.mark.parametrize("workers", [1, 2])
def test_json_lines_are_the_predictors_answers_and_fit_the_schema(
    workers: int, edge_predict: Any, model: Path, film: Path
) -> None:
    result = edge_predict("--model", model, film, *OPTIONS, "--region", "500,5,9", "--json", "--workers", workers)
    assert (result.exit_code, result.stderr) == (1, "1 of 3 failed.\n")
    *found, failed = map(json.loads, result.stdout.splitlines())
    for line in (*found, failed):
        VALID.validate(line)
    with Predictor.load(model) as predictor:
        for line, text in zip(found, ASKED, strict=True):
            x, y, radius = map(float, text.split(","))
            answer = predictor.predict(str(film), region=(x, y, radius)).to_dict()
            assert {k: v for k, v in line.items() if k not in VARIES} == {
                k: v for k, v in answer.items() if k not in VARIES
            }
    assert failed["error"]["code"] == "image_region_outside"
    assert failed["region"] == {"x": 500, "y": 5, "radius": 9}


def test_csv_has_a_column_for_the_region_and_has_none_without(
    edge_predict: Any, model: Path, film: Path, phantom_bundle: Path
) -> None:
    result = edge_predict("--model", model, film, *OPTIONS, "--region", "500,5,9", "--csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["region"] for row in rows] == [*ASKED, "500,5,9"]
    assert [row["error_code"] for row in rows] == ["", "", "image_region_outside"]
    assert all(None not in row and None not in row.values() for row in rows)
    plain = edge_predict("--model", phantom_bundle, film, "--csv").stdout.splitlines()
    assert "region" not in plain[0]


def test_a_failed_region_is_named(edge_predict: Any, model: Path, film: Path) -> None:
    result = edge_predict("--model", model, film, "--region", "500,5,9")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"FAILED    {film}@500,5,9\n          [image_region_outside] ")


@pytest.mark.parametrize(
    ("given", "code"),
    [((), "region_missing"), (("--region", "1,2"), "region_invalid"), (("--region", "1,2,0"), "region_invalid")],
)
def test_a_region_model_asked_without_a_region_leaves_with_2(
    given: tuple[str, ...], code: str, edge_predict: Any, model: Path, film: Path
) -> None:
    result = edge_predict("--model", model, film, *given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error [{code}]: ")


@pytest.mark.parametrize("how", [("--tiles", "film.png"), ("--output", "out.jsonl", "film.png")])
def test_a_region_model_answers_no_slide_and_no_results_file(
    how: tuple[str, ...], edge_predict: Any, model: Path
) -> None:
    result = edge_predict("--model", model, *how)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "[region_missing]" in result.stderr


def test_a_model_of_whole_images_refuses_a_region(edge_predict: Any, phantom_bundle: Path, film: Path) -> None:
    result = edge_predict("--model", phantom_bundle, film, *OPTIONS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error [region_unexpected]: ")


USAGE: dict[str, tuple[str, ...]] = {
    "two images": ("a.png", "b.png"),
    "no image": (),
    "a folder": (".",),
    "a results file": ("a.png", "--output", "out.jsonl"),
    "a watched folder": ("--watch", ".", "--output", "out.jsonl"),
    "a slide": ("--tiles", "a.png"),
}


@pytest.mark.parametrize("case", USAGE)
def test_what_contradicts_a_region_cannot_be_used(case: str, edge_predict: Any) -> None:
    result = edge_predict(*USAGE[case], "--region", "1,2,3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr
    assert "--region" in result.stderr or case == "no image"
