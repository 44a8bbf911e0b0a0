"""What the service answers is what ``edge-predict --json`` prints, byte for byte but for times and their checksum."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.fixtures.commands import Called
from tests.phantom_bundle import CHECKED
from tests.places import ROOT
from tests.serving import Served, multipart, steady
from tests.unit.bundle import shipped_bundle
from tests.unit.images import hostile_files as made

PHANTOM = ROOT / "docs" / "phantom.png"


def same(service: Served, edge_predict: Called, model: str | Path, image: Path, *options: object) -> dict[str, object]:
    """Compare the service with the command for one image; return the answer."""
    name = CHECKED.name.replace("checked", "patch") if model == CHECKED else str(model)
    given = dict(zip(options[::2], options[1::2], strict=True))
    fields = {str(key).removeprefix("--").replace("-", "_"): str(value) for key, value in given.items()}
    expected = edge_predict(image, "--model", model, "--json", *options)
    body, headers = multipart(image.read_bytes(), str(image), model=name, **fields)
    found = service.request("POST", "/v1/predict", body, headers)
    assert steady(found.body) == steady(expected.stdout.encode())
    assert found.status == (422 if "error" in found.json else 200)
    assert (expected.exit_code, found.status) in ((0, 200), (1, 422))
    return dict(found.json)


def test_an_answer_is_the_commands(running: Served, edge_predict: Called, phantom_patches: list[Path]) -> None:
    decisions = {same(running, edge_predict, CHECKED, image)["decision"] for image in phantom_patches[::16]}
    assert len(decisions) > 1, "images of one decision prove little"


def test_the_default_model_answers_the_bytes_alone(running: Served, edge_predict: Called, phantom: bytes) -> None:
    found = running.predict(phantom, "?model=idc-patch-compact")
    expected = edge_predict(PHANTOM, "--model", "idc-patch-compact", "--json").stdout.encode()
    assert steady(found.body) == steady(expected).replace(str(PHANTOM).encode(), b"bytes")


def test_an_unfamiliar_image_is_the_commands(running: Served, edge_predict: Called, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), pixels)
    found = same(running, edge_predict, "idc-patch-compact", tmp_path / "noise.png")
    assert found["reason"] == "UNFAMILIAR_INPUT"


@pytest.mark.parametrize("region", ["60,60,20", "60.5,61,20.25", "0,0,9"])
def test_a_marked_region_is_the_commands(running: Served, edge_predict: Called, tmp_path: Path, region: str) -> None:
    pixels = np.random.default_rng(1).normal(90, 40, (160, 160)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "film.pgm"), pixels)
    found = same(running, edge_predict, "mias-region", tmp_path / "film.pgm", "--region", region)
    assert list(found["region"].values()) == [float(part) for part in region.split(",")]  # type: ignore[attr-defined]


def refusals(folder: Path) -> dict[str, Path]:
    """Write images that are refused; return their paths by the expected code."""
    good = PHANTOM.read_bytes()
    files = {
        "image_empty": b"",
        "image_truncated": good[: len(good) // 2],
        "image_format": b"no image at all",
        "image_too_small": made.encode(made.RGB[:3, :3], "PNG"),
        "image_orientation": made.encode(made.RGB, "JPEG", exif=made.turned(6)),
    }
    for code, data in files.items():
        (folder / f"{code}.img").write_bytes(data)
    return {code: folder / f"{code}.img" for code in files}


def test_a_refusal_is_the_commands(running: Served, edge_predict: Called, tmp_path: Path) -> None:
    for code, path in refusals(tmp_path).items():
        found = same(running, edge_predict, "idc-patch-compact", path)
        assert found["error"]["code"] == code  # type: ignore[index]


def test_a_refused_region_is_the_commands(running: Served, edge_predict: Called, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "film.png"), np.full((160, 160), 90, np.uint8))
    found = same(running, edge_predict, "mias-region", tmp_path / "film.png", "--region", "900,900,20")
    assert found["error"]["code"] == "image_region_outside"  # type: ignore[index]


def test_a_heatmap_is_the_commands_and_lies_over_the_image(
    running: Served, edge_predict: Called, tmp_path: Path, phantom: bytes
) -> None:
    out = tmp_path / "out.png"
    expected = edge_predict(PHANTOM, "--model", "idc-patch-compact", "--json", "--heatmap", out).stdout
    found = running.predict(phantom, "?model=idc-patch-compact&heatmap=1")
    heatmap = found.json["heatmap"]
    png = cv2.imdecode(np.frombuffer(base64.b64decode(heatmap["data"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (heatmap["media_type"], png.shape) == ("image/png", (*cv2.imread(str(PHANTOM)).shape[:2], 4))
    assert png[..., 3].max() >= 254 > png[..., 3].min()  # enlarging the map rounds its largest value
    added = f', "media_type": "image/png", "data": "{heatmap["data"]}"'.encode()
    without = steady(found.body.replace(added, b""))
    assert without == steady(expected.encode()).replace(str(PHANTOM).encode(), b"bytes")


def test_a_slide_is_the_commands(running: Served, edge_predict: Called, tmp_path: Path) -> None:
    tile = cv2.imread(str(shipped_bundle.image(tmp_path / "tile.png")))
    cv2.imwrite(str(tmp_path / "slide.png"), np.tile(tile, (3, 4, 1)))
    slide = tmp_path / "slide.png"
    expected = edge_predict("--tiles", slide, "--model", "idc-patch-compact", "--json").stdout.encode()
    body, headers = multipart(slide.read_bytes(), str(slide), model="idc-patch-compact")
    found = running.request("POST", "/v1/tiles", body, headers)
    assert (found.status, steady(found.body)) == (200, steady(expected))
    slide.write_bytes(slide.read_bytes()[:500])
    expected = edge_predict("--tiles", slide, "--model", "idc-patch-compact", "--json").stdout.encode()
    body, headers = multipart(slide.read_bytes(), str(slide), model="idc-patch-compact")
    found = running.request("POST", "/v1/tiles", body, headers)
    assert (found.status, steady(found.body)) == (422, steady(expected))


@pytest.mark.parametrize(
    "query, status, code",
    [
        ("?model=nobody", 404, "model_not_served"),
        ("?model=mias-region", 400, "region_missing"),
        ("?model=idc-patch-compact&region=1,2,3", 400, "region_unexpected"),
        ("?model=mias-region&region=here", 400, "region_invalid"),
        ("?model=idc-patch-compact&heatmap=yes", 400, "parameter_invalid"),
        ("?model=idc-patch-compact&heatmap=1&heatmap=0", 400, "parameter_invalid"),
        ("?colour=red", 400, "parameter_unknown"),
        ("?microns_per_pixel=much", 400, "parameter_invalid"),
    ],
)
def test_a_wrong_question_has_a_code(running: Served, phantom: bytes, query: str, status: int, code: str) -> None:
    found = running.predict(phantom, query)
    assert (found.status, found.code) == (status, code)


def test_the_models_and_what_each_says_of_itself(running: Served) -> None:
    models = running.get("/v1/models").json["models"]
    assert [(m["name"], m["region"]) for m in models] == [
        ("phantom-patch", False),
        ("idc-patch-compact", False),
        ("mias-region", True),
    ]
    assert sum(model["default"] for model in models) == 1
    about = running.get("/v1/models/mias-region").json
    assert about["card"].startswith("#") and about["manifest"]["evaluations"] and about["manifest"]["spec"]["region"]
    assert running.get("/v1/models/nobody").status == 404


def test_health_and_the_documents(running: Served) -> None:
    assert running.get("/health/live").json == {"status": "live"}
    ready = running.get("/health/ready")
    assert (ready.status, set(ready.json["models"].values())) == (200, {"ready"})
    assert running.get("/openapi.json").json["openapi"].startswith("3.1")
    for path in ("/", "/docs"):
        page = running.get(path)
        assert page.status == 200 and "default-src 'none'" in page.headers["content-security-policy"]
        assert b"http://" not in page.body.replace(b"http://www.w3.org", b"") and b"https://" not in page.body


@pytest.mark.shared
@pytest.mark.parametrize("model, data", [("idc-patch-compact", "idc"), ("breast-us", "busi")])
def test_published_images_are_the_commands(
    started: Callable[..., Served], edge_predict: Called, published: Callable[[str], Path], model: str, data: str
) -> None:
    service = started(model).until_ready()
    images = sorted(path for path in published(data).rglob("*.png") if "_mask" not in path.name)
    answers = [same(service, edge_predict, model, image) for image in images[:: max(1, len(images) // 40)]]
    assert len(answers) >= 40 and len({answer.get("decision") for answer in answers}) > 1


@pytest.mark.shared
@pytest.mark.parametrize("model, data", [("mias-region", "mias"), ("breast-us-lesion", "busi")])
def test_published_regions_are_the_commands(
    started: Callable[..., Served], edge_predict: Called, published: Callable[[str], Path], model: str, data: str
) -> None:
    """Regions at places of the images, whatever they show: some are refused, as on the command line."""
    service = started(model).until_ready()
    folder = published(data)
    images = sorted(path for path in folder.rglob("*.p[ng][gm]") if "_mask" not in path.name)
    answers = []
    for image in images[:: max(1, len(images) // 20)]:
        height, width = cv2.imread(str(image), cv2.IMREAD_UNCHANGED).shape[:2]
        for x, y in ((width // 2, height // 2), (width // 5, height // 3)):
            region = f"{x},{y},{min(width, height) // 8}"
            answers.append(same(service, edge_predict, model, image, "--region", region))
    assert len(answers) >= 40 and len({answer.get("reason") for answer in answers}) > 1
