"""The service and ``edge-predict`` print the same bytes, but for times and the checksum over them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from edge_runtime.serving.app import Service
from edge_runtime.serving.openapi import document
from tests.phantom_bundle import CHECKED
from tests.places import ROOT
from tests.unit.serving.asgi import ask, form
from tests.unit.serving.conftest import REGION_MODEL

VARIES = re.compile(rb'"(time|check)": "[^"]*"|"ms": \{[^}]*\}')
PATCHES = sorted((ROOT / "calibration_data" / "phantom-patch").rglob("*.png"))


def steady(text: bytes) -> bytes:
    """Return a line with its times and its checksum left out."""
    assert len(VARIES.findall(text)) >= 1
    return VARIES.sub(b"", text)


def printed(edge_predict: Any, *arguments: object) -> bytes:
    """Return what the command prints on stdout."""
    return str(edge_predict(*arguments, "--json").stdout).encode("ascii")


def damaged(image: bytes) -> dict[str, bytes]:
    """Return images that are refused, each for another reason."""
    rgba = np.full((60, 60, 4), 90, np.uint8)
    rgba[0, 0, 3] = 7
    return {
        "image_empty": b"",
        "image_format": b"no image",
        "image_truncated": image[: len(image) // 2],
        "image_damaged": image[:60] + bytes([image[60] ^ 0xFF]) + image[61:],
        "image_too_small": cv2.imencode(".png", np.zeros((3, 3, 3), np.uint8))[1].tobytes(),
        "image_alpha": cv2.imencode(".png", rgba)[1].tobytes(),
    }


def test_predictions_are_those_of_the_command(service: Service, edge_predict: Any) -> None:
    decisions = set()
    for path in PATCHES[::9]:
        name = str(path)
        body, kind = form(path.read_bytes(), name)
        reply = ask(service, "POST", "/v1/predict", body, content_type=kind)
        assert reply.status == 200
        assert steady(reply.body) == steady(printed(edge_predict, name, "--model", CHECKED))
        decisions.add(reply.json["decision"])
    assert len(decisions) > 1


def test_an_image_without_a_name_is_named_bytes(service: Service) -> None:
    reply = ask(service, "POST", "/v1/predict", PATCHES[0].read_bytes(), content_type="image/png")
    assert (reply.status, reply.json["image"]) == (200, "bytes")
    jsonschema.Draft202012Validator(
        json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
    ).validate(reply.json)


def test_refusals_are_those_of_the_command(service: Service, edge_predict: Any, tmp_path: Path) -> None:
    found = set()
    for code, data in damaged(PATCHES[0].read_bytes()).items():
        path = tmp_path / f"{code}.png"
        path.write_bytes(data)
        body, kind = form(data, str(path))
        reply = ask(service, "POST", "/v1/predict", body, content_type=kind)
        assert reply.status == 422
        assert steady(reply.body) == steady(printed(edge_predict, path, "--model", CHECKED))
        found.add(reply.code)
    assert found == damaged(PATCHES[0].read_bytes()).keys()


def test_out_of_distribution_images_are_referred_as_by_the_command(
    service: Service, edge_predict: Any, tmp_path: Path
) -> None:
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8))
    body, kind = form(path.read_bytes(), str(path))
    reply = ask(service, "POST", "/v1/predict", body, content_type=kind)
    assert reply.json["reason"] == "UNFAMILIAR_INPUT"
    assert steady(reply.body) == steady(printed(edge_predict, path, "--model", CHECKED))


@pytest.mark.parametrize("region", ["60,45,20", "3,90.5,11", "500,500,9", "60,45,1e7"])
def test_regions_are_those_of_the_command(service: Service, edge_predict: Any, tmp_path: Path, region: str) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8))
    body, kind = form(path.read_bytes(), str(path), region=region, model=REGION_MODEL)
    reply = ask(service, "POST", "/v1/predict", body, content_type=kind)
    assert reply.status in (200, 422)
    assert steady(reply.body) == steady(printed(edge_predict, path, "--model", REGION_MODEL, "--region", region))


def test_a_heatmap_is_that_of_the_command_and_a_png_to_lay_over_the_image(
    service: Service, edge_predict: Any, tmp_path: Path
) -> None:
    path, drawn = PATCHES[0], tmp_path / "map.png"
    body, kind = form(path.read_bytes(), str(path))
    reply = ask(service, "POST", "/v1/predict?heatmap=1", body, content_type=kind)
    found = reply.json
    jsonschema.Draft202012Validator(
        {"$ref": "#/components/schemas/answer", "components": document()["components"]}
    ).validate(found)
    png = base64.b64decode(found["heatmap"].pop("data"))
    assert found["heatmap"].pop("media_type") == "image/png"
    expected = json.loads(printed(edge_predict, path, "--model", CHECKED, "--heatmap", drawn))
    for varying in ("time", "check", "ms"):
        del found[varying], expected[varying]
    assert found == expected
    overlay = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    grey = cv2.imdecode(np.frombuffer(base64.b64decode(found["heatmap"]["png"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert overlay.shape == (*cv2.imread(str(path)).shape[:2], 4)
    assert np.array_equal(overlay[..., 3], grey)


def test_a_model_without_heatmaps_says_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = service.core.models.get(None).loaded.predictor
    monkeypatch.setattr(predictor, "_explainer", None)
    monkeypatch.setattr(predictor._bundle.manifest.__class__, "of_role", lambda *_: ())
    reply = ask(service, "POST", "/v1/predict?heatmap=1", PATCHES[0].read_bytes())
    assert (reply.status, reply.code) == (400, "saliency_missing")


def test_slides_are_those_of_the_command(service: Service, edge_predict: Any, tmp_path: Path) -> None:
    tiles = [cv2.imread(str(path)) for path in PATCHES[:6]]
    for number, slide in enumerate((np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])]), tiles[0][:20, :20])):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), slide)
        body, kind = form(path.read_bytes(), str(path))
        reply = ask(service, "POST", "/v1/tiles", body, content_type=kind)
        assert reply.status == (422 if number else 200)
        told = str(edge_predict("--tiles", path, "--model", CHECKED, "--json").stdout).encode("ascii")
        assert steady(reply.body) == steady(told)


def test_a_fault_of_the_machine_may_be_tried_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("edge_runtime.images.reader.decode", fails)
    reply = ask(service, "POST", "/v1/predict", PATCHES[0].read_bytes())
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "machine_memory", "5")
    assert reply.json["error"]["kind"] == "machine"
