"""One image's way from command to answer is short, and can be followed from file to file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.one_image import ROOT, way_of

MOST_FILES = 24
TWICE = {
    "predictor.py": "the progress bar asks for the next answer, in place of the loop",
    "images/content_hash.py": "what was read is noted for its hash, which is computed for a prediction that is written",
    "images/formats/header.py": "what a file declares: all that read it look at it",
    "ood/network_features.py": "limits of the image are compared before the network runs, its features after it",
    "preprocessing/preprocessor.py": "its last step is a table, which is looked up at the network's input",
    "inference/prediction.py": "a prediction is made at the way's end, and CSV and JSON take its fields",
    "platform/escaped_names.py": "names are escaped as they are laid out, and the text once more as it is printed",
}
"""Files that are entered from more than one other, and why."""


@pytest.mark.parametrize("options", [(), ("--csv",), ("--backend", "onnxruntime")], ids=["card", "csv", "onnx"])
def test_the_way_is_short_and_each_file_is_entered_from_one_other(options: tuple[str, ...]) -> None:
    way = way_of(ROOT / "docs" / "phantom.png", *options)
    print(way.drawn())
    assert len(way.entered) <= MOST_FILES
    assert {file for file, parents in way.entered.items() if len(parents) > 1} <= TWICE.keys()
    assert way.drawn().count("\n") == len(way.entered) - 1, "a file that is reached from none"
    stages = ("images/reader.py", "preprocessing/preprocessor.py", "ood/network_features.py", "inference/engine.py")
    positions = [list(way.entered).index(stage) for stage in (*stages, "decision/rule.py", "cli/output.py")]
    assert positions[:-1] == sorted(positions[:-1])


def test_json_lines_are_those_of_a_results_file() -> None:
    way = way_of(ROOT / "docs" / "phantom.png", "--json")
    assert len(way.entered) <= MOST_FILES + 1
    assert list(way.entered["results/lines.py"]) == ["cli/render.py"]


def test_the_way_of_a_jpeg_is_as_short(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "image.jpg"), cv2.imread(str(ROOT / "docs" / "phantom.png")))
    assert len(way_of(tmp_path / "image.jpg").entered) <= MOST_FILES + 2  # libjpeg's complaints are listened to
