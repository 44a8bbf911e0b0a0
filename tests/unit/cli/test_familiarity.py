"""``edge-predict`` says in words, columns and JSON that an image is not like the model's own."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edge_runtime.bundle.bundle import describe_files, find, write_manifest
from edge_runtime.bundle.embedded import KEY
from edge_runtime.bundle.manifest import Format, Role
from edge_runtime.images.reader import read
from edge_runtime.ood.detector import NAMES, STATISTICS, Familiarity
from edge_runtime.ood.statistics import statistics
from edge_runtime.serialisation.records import canonical_json
from tests.fixtures.commands import Called


@pytest.fixture
def own(phantom_patches: list[Path]) -> Path:
    return phantom_patches[0]


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    path = tmp_path / "screen.png"
    drawn = np.full((60, 90, 3), 30, np.uint8)
    cv2.putText(drawn, "File Edit", (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230, 230, 230), 1)
    cv2.imwrite(str(path), drawn)
    return path


@pytest.fixture
def knowing(phantom_bundle: Path, own: Path, tmp_path: Path) -> Path:
    """The phantom bundle's ONNX files, made for images like one phantom: in the manifest and inside the files."""
    source, folder = find(phantom_bundle), tmp_path / "knowing"
    folder.mkdir()
    mean = tuple(statistics(read(own)).tolist())
    whitening = tuple((np.eye(len(NAMES)) * 10)[np.tril_indices(len(NAMES))].tolist())
    spec = dataclasses.replace(source.manifest.spec, familiarity=Familiarity(STATISTICS, mean, whitening, limit=2.0))
    rows = []
    for entry in source.manifest.files:
        if entry.format is Format.ONNX or entry.role is Role.CARD:
            content = source.content(entry)
            if entry.format is Format.ONNX:
                model = onnx.load_from_string(content)
                (text,) = (prop for prop in model.metadata_props if prop.key == KEY)
                text.value = canonical_json(spec)
                content = model.SerializeToString()
            (folder / entry.name).write_bytes(content)
            rows.append((entry.name, entry.role, entry.format, entry.precision))
    write_manifest(folder, dataclasses.replace(source.manifest, spec=spec, files=describe_files(folder, rows)))
    return folder


def test_the_card_says_so_in_words(edge_predict: Called, knowing: Path, own: Path, screen: Path) -> None:
    said = edge_predict(screen, "--model", knowing, "--backend", "onnxruntime")
    assert said.exit_code == 0, said.stderr
    assert "familiar  NOT like the images this model was made for" in said.stdout
    assert "decision  REFER" in said.stdout and "UNFAMILIAR_INPUT: not like the images" in said.stdout
    known = edge_predict(own, "--model", knowing, "--backend", "onnxruntime").stdout
    assert "familiar  like the images this model was made for (distance 0.00 times the limit)" in known


def test_json_and_csv_hold_the_distance_over_the_limit(
    edge_predict: Called, knowing: Path, own: Path, screen: Path
) -> None:
    arguments = (own, screen, "--model", knowing, "--backend", "onnxruntime")
    lines = [json.loads(line) for line in edge_predict(*arguments, "--json").stdout.splitlines()]
    assert lines[0]["familiarity"] == 0.0 and lines[0]["reason"] != "UNFAMILIAR_INPUT"
    assert lines[1]["familiarity"] > 1 and (lines[1]["decision"], lines[1]["reason"]) == ("REFER", "UNFAMILIAR_INPUT")
    rows = list(csv.DictReader(io.StringIO(edge_predict(*arguments, "--csv").stdout)))
    assert [float(row["familiarity"]) for row in rows] == [line["familiarity"] for line in lines]


def test_an_unfamiliar_image_shows_no_label_and_no_score_to_people(
    edge_predict: Called, knowing: Path, own: Path, screen: Path, tmp_path: Path
) -> None:
    """A table, a card, CSV and a heatmap's line; programs find them in JSON."""
    call = ("--model", knowing, "--backend", "onnxruntime")
    told = json.loads(edge_predict(*call, screen, "--json").stdout)
    meaningless = {*told["scores"], *(f"{share:.4f}" for share in (told["score"], told["confidence"]))}
    card = edge_predict(*call, screen).stdout
    assert "label     none" in card
    table = edge_predict(*call, screen, own).stdout.splitlines()
    (row,) = [line for line in table if "UNFAMILIAR_INPUT" in line]
    assert row.split()[:4] == ["REFER", "-", "-", "UNFAMILIAR_INPUT"]
    assert table[2].index("image") == row.index(str(screen)), "columns stay in line"
    drawn = edge_predict(*call, screen, "--heatmap", tmp_path / "map.png").stdout
    for text in (card, row, drawn):
        assert not [word for word in meaningless if word in text.replace(str(tmp_path), "")], text
    rows = list(csv.DictReader(io.StringIO(edge_predict(*call, own, screen, "--csv").stdout)))
    shown = [[row[name] != "" for name in ("label", "score", "confidence", "decision")] for row in rows]
    assert shown == [[True] * 4, [False] * 3 + [True]]


def test_a_model_without_familiarity_says_nothing_about_it(
    edge_predict: Called, phantom_bundle: Path, screen: Path
) -> None:
    card = edge_predict(screen, "--model", phantom_bundle).stdout
    assert not [line for line in card.splitlines() if line.startswith("familiar")]
    assert "familiarity" not in json.loads(edge_predict(screen, "--model", phantom_bundle, "--json").stdout)
    (row,) = csv.DictReader(io.StringIO(edge_predict(screen, "--model", phantom_bundle, "--csv").stdout))
    assert row["familiarity"] == ""
