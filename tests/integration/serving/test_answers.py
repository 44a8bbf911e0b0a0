"""The service's answers are the command line's, byte for byte but for times."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.results.lines import is_whole
from tests.phantom_bundle import CHECKED
from tests.places import ROOT
from tests.serving import Served

TIMES = re.compile(rb'"time": "[^"]*"|"ms": \{[^}]*\}|"check": "[^"]*"')


def cases(folder: Path, image: bytes) -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    return {
        "patch.png": image,
        "noise.png": cv2.imencode(".png", noise)[1].tobytes(),
        "grey.png": cv2.imencode(".png", noise[:, :, 0])[1].tobytes(),
        "tiny.png": cv2.imencode(".png", noise[:3, :3])[1].tobytes(),
        "cut.png": image[: len(image) // 2],
        "text.png": b"not an image",
        "patch.jpg": cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR))[1].tobytes(),
    }


def command_line(folder: Path, names: list[str], *options: str, model: str = str(CHECKED)) -> dict[str, bytes]:
    command = [sys.executable, "-m", "edge_runtime.cli.predict", "--json", "--model", model, *options, *names]
    done = subprocess.run(command, capture_output=True, cwd=folder, env={"PYTHONPATH": str(ROOT)}, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == len(names), done.stderr
    return dict(zip(names, lines, strict=True))


def form(name: str, image: bytes, **fields: str) -> dict[str, Any]:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    head = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
    return {
        "body": b"".join([*parts, head, image, b"\r\n--b--\r\n"]),
        "content_type": "multipart/form-data; boundary=b",
    }


def test_every_kind_of_image_is_answered_as_on_the_command_line(checked: Served, image: bytes, tmp_path: Path) -> None:
    given = cases(tmp_path, image)
    for name, data in given.items():
        (tmp_path / name).write_bytes(data)
    expected = command_line(tmp_path, list(given))
    for name, data in given.items():
        found = checked.ask("/v1/predict", **form(name, data))
        line = found.body.rstrip(b"\n")
        assert TIMES.sub(b"", line) == TIMES.sub(b"", expected[name])
        assert is_whole(line)
        assert found.status == (422 if "error" in found.json else 200)
    reasons = {
        json.loads(line).get("reason", json.loads(line).get("error", {}).get("code")) for line in expected.values()
    }
    assert len(reasons) >= 4, "the cases are of several kinds"


def test_a_body_without_a_form_is_called_bytes_and_answered_the_same(checked: Served, image: bytes) -> None:
    bare, named = checked.ask("/v1/predict", image).json, checked.ask("/v1/predict", **form("x.png", image)).json
    assert bare["image"] == "bytes" and named["image"] == "x.png"
    ignored = ("image", "time", "ms", "check")
    assert {k: v for k, v in bare.items() if k not in ignored} == {k: v for k, v in named.items() if k not in ignored}


def test_a_heatmap_is_the_command_lines_with_a_coloured_map_of_the_images_size(
    checked: Served, image: bytes, tmp_path: Path
) -> None:
    (tmp_path / "patch.png").write_bytes(image)
    expected = command_line(tmp_path, ["patch.png"], "--heatmap", str(tmp_path / "drawn"))["patch.png"]
    found = checked.ask("/v1/predict?heatmap=1", **form("patch.png", image)).json
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(found["heatmap"]["data"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert drawn.shape == (*cv2.imread(str(tmp_path / "patch.png")).shape[:2], 4)
    assert drawn[..., 3].max() > 200
    theirs = json.loads(expected).get("heatmap")
    if isinstance(theirs, dict):
        assert {k: v for k, v in found["heatmap"].items() if k in theirs} == theirs


def test_a_region_model_needs_a_region_and_takes_it_from_the_address_or_the_form(checked: Served) -> None:
    film = np.full((1024, 1024), 60, np.uint8)
    cv2.circle(film, (512, 512), 90, 180, -1)
    data = cv2.imencode(".png", cv2.add(film, np.random.default_rng(1).integers(0, 30, film.shape, dtype=np.uint8)))[1]
    missing = checked.ask("/v1/predict?model=mias-region", data.tobytes())
    assert (missing.status, missing.json["error"]["code"]) == (400, "region_missing")
    one = checked.ask("/v1/predict?model=mias-region&region=512,512,90", data.tobytes()).json
    two = checked.ask("/v1/predict", **form("f", data.tobytes(), model="mias-region", region="512,512,90")).json
    assert one["region"] == {"x": 512.0, "y": 512.0, "radius": 90.0}
    assert one["scores"] == two["scores"]
    outside = checked.ask("/v1/predict?model=mias-region&region=5000,512,90", data.tobytes())
    assert (outside.status, outside.json["error"]["code"]) == (422, "image_region_outside")


@pytest.mark.parametrize(
    "query, code",
    [
        ("model=nobody", "model_not_served"),
        ("region=1,2", "region_invalid"),
        ("heatmap=2", "parameter_invalid"),
        ("colour=red", "parameter_unknown"),
        ("model=a&model=b", "parameter_repeated"),
        ("microns_per_pixel=wide", "usage"),
    ],
)
def test_a_wrong_parameter_is_named(checked: Served, image: bytes, query: str, code: str) -> None:
    found = checked.ask(f"/v1/predict?{query}", image)
    assert found.status == (404 if code == "model_not_served" else 400)
    assert found.json["error"]["code"] == code


def test_models_are_listed_and_described(checked: Served) -> None:
    listed = checked.ask("/v1/models").json["models"]
    assert [(m["name"], m["region"], m["default"]) for m in listed] == [
        ("phantom-patch", False, True),
        ("mias-region", True, False),
    ]
    described = checked.ask("/v1/models/mias-region").json
    assert described["manifest"]["spec"]["name"] == "mias-region"
    assert described["card"].startswith("#")
    assert checked.ask("/v1/models/nobody").status == 404


def test_a_slide_is_answered_as_on_the_command_line(served: Served, tmp_path: Path) -> None:
    slide = np.random.default_rng(2).integers(0, 256, (160, 210, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "slide.png"), slide)
    found = served.ask("/v1/tiles", **form("slide.png", (tmp_path / "slide.png").read_bytes())).json
    from tests.phantom_bundle import COMMITTED

    command = [sys.executable, "-m", "edge_runtime.cli.predict", "--json", "--model", str(COMMITTED)]
    done = subprocess.run(
        [*command, "--tiles", "slide.png"], capture_output=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True
    )
    expected = json.loads(done.stdout)
    for each in (found, expected):
        for key in ("time", "ms"):
            each.pop(key, None)
    assert found == expected
