"""``edge-predict --heatmap``: answers as ever, a drawing each; the image itself is never overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import pytest

from tests.places import ROOT

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))


def test_one_image_gives_a_card_and_a_drawing(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "map.png"
    result = edge_predict("--model", phantom_bundle, phantom_patches[0], "--heatmap", out)
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("heatmap")]
    assert "grad-cam of" in line
    assert str(out) in line
    assert cv2.imread(str(out)).shape[1] > 900


def test_opacity_nought_is_the_image_and_one_the_map(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    drawn = []
    for share in ("0", "1"):
        out = tmp_path / f"{share}.png"
        edge_predict("--model", phantom_bundle, phantom_patches[0], "--heatmap", out, "--opacity", share)
        drawn.append(cv2.imread(str(out)))
    image = cv2.resize(cv2.imread(str(phantom_patches[0])), (900, 900), interpolation=cv2.INTER_NEAREST)
    same = (drawn[0][16:916, 16:916] == image).all(axis=2)
    assert same.mean() > 0.999  # all but the cross on the largest value
    assert (drawn[1][16:916, 16:916] == image).all(axis=2).mean() < 0.05


def test_a_folder_of_images_gives_a_folder_of_drawings_and_failures_leave_the_rest_alone(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    out = tmp_path / "maps"
    result = edge_predict("--model", phantom_bundle, phantom_patches[0], broken, phantom_patches[1], "--heatmap", out)
    assert result.exit_code == 1
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"0001-{phantom_patches[0].stem}.heatmap.png", f"0003-{phantom_patches[1].stem}.heatmap.png"]
    assert result.stdout.count("heatmap   ") == 2
    assert result.stdout.count("FAILED") == 1


def test_json_lines_hold_the_map_and_fit_the_schema(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    result = edge_predict("--model", phantom_bundle, *phantom_patches[:2], "--json", "--heatmap", tmp_path / "maps")
    for line in result.stdout.splitlines():
        answer = json.loads(line)
        jsonschema.Draft202012Validator(SCHEMA).validate(answer)
        assert answer["heatmap"]["method"] == "grad-cam"


def test_csv_is_as_without(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    plain = edge_predict("--model", phantom_bundle, phantom_patches[0], "--csv")
    drawn = edge_predict("--model", phantom_bundle, phantom_patches[0], "--csv", "--heatmap", tmp_path / "map.png")
    assert drawn.stdout == plain.stdout


def test_a_label_is_chosen_and_one_that_is_none_refused(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    call = ("--model", phantom_bundle, phantom_patches[0], "--heatmap", tmp_path / "map.png", "--heatmap-label")
    assert "grad-cam of benign" in edge_predict(*call, "benign").stdout
    refused = edge_predict(*call, "other")
    assert refused.exit_code == 2
    assert "expected one of benign, malignant" in refused.stderr


def test_the_image_is_not_overwritten(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    image = tmp_path / "p.png"
    image.write_bytes(phantom_patches[0].read_bytes())
    result = edge_predict("--model", phantom_bundle, image, "--heatmap", image)
    assert result.exit_code == 2
    assert "the image itself" in result.stderr
    assert image.read_bytes() == phantom_patches[0].read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--output", "r.jsonl"), "cannot be combined with --output"),
        (("--workers", "2"), "Remove --workers"),
    ],
)
def test_options_that_contradict_heatmaps_are_refused(edge_predict: Any, options: tuple[str, str], said: str) -> None:
    result = edge_predict("p.png", "--heatmap", "m.png", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_slides_have_a_map_of_their_own_and_a_label_needs_a_heatmap(edge_predict: Any) -> None:
    assert "--map FILE" in edge_predict("--tiles", "s.png", "--heatmap", "m.png").stderr
    assert "needs --heatmap" in edge_predict("p.png", "--heatmap-label", "benign").stderr


def test_several_drawings_need_a_folder_and_one_a_place_that_takes_it(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"")
    several = edge_predict("--model", phantom_bundle, *phantom_patches[:2], "--heatmap", taken)
    assert (several.exit_code, "expected a folder" in several.stderr) == (2, True)
    nowhere = edge_predict("--model", phantom_bundle, phantom_patches[0], "--heatmap", tmp_path / "no" / "map.png")
    assert (nowhere.exit_code, "cannot be written" in nowhere.stderr) == (2, True)


def test_a_model_without_heatmaps_names_the_remedy(
    edge_predict: Any, edited_bundle: Callable[..., Path], phantom_patches: list[Path], tmp_path: Path
) -> None:
    bundle = edited_bundle(lambda manifest: manifest.pop("saliency"))
    result = edge_predict("--model", bundle, phantom_patches[0], "--heatmap", tmp_path / "map.png")
    assert result.exit_code == 3
    assert "saliency_missing" in result.stderr
    assert "export the model again" in result.stderr
    assert not (tmp_path / "map.png").exists()
