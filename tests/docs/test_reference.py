"""The algorithms on the reference pages give what the package gives, bit for bit where the pages say so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import ColourOrder, Predictor, Runtime
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Role
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.backends.registry import open_model
from edge_runtime.ood.detector import NAMES, STATISTICS, Familiarity
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.ood.network_features import features
from edge_runtime.ood.statistics import statistics
from edge_runtime.preprocessing.kernels import apply, recolour
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    CentreCrop,
    Interpolation,
    Letterbox,
    MinMax,
    Normalize,
    Pad,
    PixelType,
    Resize,
    ResizeShorter,
    Scale,
    Sharpen,
    Target,
    Window,
)
from edge_runtime.serialisation.records import to_dict
from edge_runtime.slides.area_average import averaged
from tests.phantom_bundle import CHECKED
from tests.places import ROOT
from tests.unit.assurance.audit.made import RUN, written

REFERENCE = ROOT / "docs" / "reference"
RANDOM = np.random.default_rng(20161)
SIZES = [((233, 301), (96, 128)), ((37, 41), (96, 128)), ((50, 64), (50, 50)), ((7, 300), (224, 5))]
SHAPES = [(50, 50), (64, 64), (65, 40), (3, 200), (1, 1), (9, 33), (33, 33), (300, 233), (700, 513)]


def algorithms(page: str) -> dict[str, Any]:
    """Everything that the programs of a page define, run one after the other as they stand there."""
    known: dict[str, Any] = {}
    for program in re.findall(r"^```python\n(.*?)^```", (REFERENCE / page).read_text(encoding="utf-8"), re.S | re.M):
        exec(program, known)
    return known


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return algorithms("preprocessing.md")


def test_network_features_and_their_share_are_those_of_the_page() -> None:
    page, check = algorithms("network-features.md"), find(CHECKED).manifest.spec.network_check
    assert check is not None
    for rows in RANDOM.gamma(2.0, size=(20, 50, check.channels)):
        moments = np.concatenate([rows.mean(axis=0), (rows**2).mean(axis=0)]).astype(np.float32)
        same(page["features"](moments), features(moments))
        assert page["share"](moments, to_dict(check)) == pytest.approx(
            float(check.shares(moments[np.newaxis])[0]), rel=1e-12
        )


def test_discriminants_and_limits_of_the_image_are_those_of_the_page() -> None:
    page, check = algorithms("network-features.md"), find("idc-patch-compact").manifest.spec.network_check
    assert check is not None and check.discriminants is not None
    means = np.array(check.mean[: check.channels])
    for factor in (1.0, 1.1, 1.5):
        moments = np.concatenate([factor * means, np.square(factor * means) + 0.1]).astype(np.float32)
        assert page["share"](moments, to_dict(check)) == pytest.approx(check.share(moments), rel=1e-12)
    for limits in (ImageLimits(60, 200), ImageLimits(least_dark=0.3), ImageLimits(most_side_px=64)):
        for image in (noise(64, 64), noise(130, 300, 3), noise(70, 20, dtype=np.uint16)):
            decoded = DecodedImage("p", image, ColourOrder.GREY if image.ndim == 2 else ColourOrder.BGR)
            assert page["excess"](image, to_dict(limits)) == pytest.approx(limits.excess(decoded), rel=1e-12)


def noise(*shape: int, dtype: Any = np.uint8) -> Any:
    return RANDOM.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def same(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("factor", [256, 300, 1014])
def test_the_area_average_of_slides_is_the_same(factor: int) -> None:
    known, pixels = algorithms("slides.md"), noise(40, 50, 3)
    expected = known["area_average"](pixels, factor)
    found = averaged(lambda x, y, w, h: pixels[y : y + h, x : x + w], 0, 0, *expected.shape[1::-1], factor)
    same(found, expected)


def test_grey_is_the_same_for_many_colours(page: dict[str, Any]) -> None:
    colours = noise(1000, 1000, 3)
    same(page["grey"](colours), recolour(colours, ColourOrder.RGB, ColourOrder.GREY))


@pytest.mark.parametrize("low, high", [(0, 1), (0, 255), (500, 3500), (7, 65535), (100, 102)])
def test_a_window_is_the_same_for_every_level(page: dict[str, Any], low: int, high: int) -> None:
    levels = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    same(page["window"](levels, low, high), apply(Window(low, high), levels, "levels"))


@pytest.mark.parametrize("source, target", SIZES)
@pytest.mark.parametrize(
    "name, interpolation, result",
    [
        ("nearest", Interpolation.NEAREST, PixelType.UINT8),
        ("linear_float32", Interpolation.LINEAR, PixelType.FLOAT32),
        ("linear_exact", Interpolation.LINEAR_EXACT, PixelType.UINT8),
        ("bicubic_float32", Interpolation.BICUBIC, PixelType.FLOAT32),
        ("bicubic_uint8", Interpolation.BICUBIC, PixelType.UINT8),
        ("linear_antialias", Interpolation.LINEAR_ANTIALIAS, PixelType.UINT8),
        ("bicubic_antialias", Interpolation.BICUBIC_ANTIALIAS, PixelType.UINT8),
    ],
)
def test_a_resize_is_the_same(
    page: dict[str, Any],
    name: str,
    interpolation: Interpolation,
    result: PixelType,
    source: tuple[int, int],
    target: tuple[int, int],
) -> None:
    step = Resize(target[1], target[0], interpolation, result)
    for pixels in (noise(*source), noise(*source, 3)):
        same(page[name](pixels, step.width_px, step.height_px), apply(step, pixels, "noise"))


@pytest.mark.parametrize("source, target", [*SIZES, ((300, 7), (32, 64)), ((1, 300), (64, 64)), ((90, 60), (60, 90))])
def test_a_letterbox_is_the_same(page: dict[str, Any], source: tuple[int, int], target: tuple[int, int]) -> None:
    step = Letterbox(target[1], target[0])
    for pixels in (noise(*source), noise(*source, 3)):
        same(page["letterbox"](pixels, step.width_px, step.height_px), apply(step, pixels, "noise"))


@pytest.mark.parametrize("to", Target)
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_padding_and_cropping_are_the_same(
    page: dict[str, Any], source: tuple[int, int], target: tuple[int, int], to: Target
) -> None:
    for pixels in (noise(*source), noise(*source, 3), noise(*source).astype(np.float32)):
        padded = apply(Pad(target[1], target[0], to, 7.0), pixels, "noise")
        same(page["pad"](pixels, target[1], target[0], to.value, 7.0), padded)
        if to is Target.ASPECT_RATIO or (target[0] <= padded.shape[0] and target[1] <= padded.shape[1]):
            cropped = apply(CentreCrop(target[1], target[0], to), padded, "noise")
            same(page["centre_crop"](padded, target[1], target[0], to.value), cropped)


@pytest.mark.parametrize(("source", "shorter"), [(source, target[0]) for source, target in SIZES])
def test_the_longer_side_is_the_same(page: dict[str, Any], source: tuple[int, int], shorter: int) -> None:
    step = ResizeShorter(shorter, Interpolation.NEAREST, PixelType.UINT8)
    assert page["shorter_size"](source[1], source[0], shorter) == apply(step, noise(*source), "noise").shape[::-1]


@pytest.mark.parametrize(
    "border, mode", [(Border.REFLECT_101, "reflect"), (Border.REPLICATE, "edge"), (Border.ZERO, "constant")]
)
def test_sharpening_is_the_same(page: dict[str, Any], border: Border, mode: str) -> None:
    lopsided = tuple(tuple(float(5 * row + column - 9) for column in range(5)) for row in range(5))
    for kernel in (LAPLACIAN_SHARPEN_3X3, lopsided):
        for pixels in (noise(31, 44), noise(31, 44, 3)):
            found = page["sharpen_uint8"](pixels, kernel, mode)
            same(found, apply(Sharpen(kernel, PixelType.UINT8, border), pixels, "noise"))


def test_steps_on_float32_are_the_same(page: dict[str, Any]) -> None:
    pixels = noise(40, 30, 3)
    same(page["min_max"](pixels, -1.0, 3.0), apply(MinMax(-1.0, 3.0), pixels, "noise"))
    same(page["scale"](pixels, 127.5, -1.0), apply(Scale(127.5, -1.0), pixels, "noise"))
    mean, std = (103.939, 116.779, 123.68), (0.5, 1.0, 7.0)
    same(page["normalize"](pixels, mean, std), apply(Normalize(mean, std), pixels, "noise"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_statistics_are_the_same_to_the_last_digits(shape: tuple[int, int], dtype: Any) -> None:
    known = algorithms("statistics.md")
    smooth = np.linspace(0, np.iinfo(dtype).max, shape[0] * shape[1] * 3).reshape(*shape, 3).astype(dtype)
    for pixels in (noise(*shape, 3, dtype=dtype), smooth, np.full((*shape, 3), 7, dtype)):
        found = known["image_statistics"](pixels)
        expected = statistics(DecodedImage("drawn", pixels, ColourOrder.RGB))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_distance_of_the_phantom_is_the_one_that_the_package_computes() -> None:
    known = algorithms("statistics.md")
    image = read(REFERENCE.parent / "phantom.png")
    pixels = recolour(image.pixels, image.order, ColourOrder.RGB)
    whitening = tuple(RANDOM.normal(size=len(NAMES) * (len(NAMES) + 1) // 2).tolist())
    own = Familiarity(STATISTICS, tuple(RANDOM.random(len(NAMES)).tolist()), whitening, 3.0)
    share = known["distance"](known["image_statistics"](pixels), own.mean, own.whitening) / own.limit
    assert share == pytest.approx(own.share(image), rel=1e-9)


def test_the_share_of_the_phantom_is_the_one_that_an_answer_names() -> None:
    page, phantom = algorithms("network-features.md"), REFERENCE.parent / "phantom.png"
    with Predictor.load("idc-patch-compact", backend=Runtime.LITERT) as predictor:
        spec, found = predictor.spec, predictor.predict(phantom).familiarity
    assert spec.network_check is not None
    image = read(phantom)
    tensor = preprocess(image, spec.steps)
    file = (
        find("idc-patch-compact").content(entry) for entry in find("idc-patch-compact").manifest.of_role(Role.MODEL)
    )
    moments = open_model(next(file), Runtime.LITERT).run_with_moments(tensor[np.newaxis])[1]
    assert moments is not None
    assert page["share"](moments[0], to_dict(spec.network_check)) == pytest.approx(found, rel=1e-9)


def test_the_program_for_audit_logs_finds_what_the_package_finds(tmp_path: Path) -> None:
    head_of, log = algorithms("audit.md")["head_of"], tmp_path / "audit.jsonl"
    head = written(log, 5).head
    lines = log.read_text(encoding="ascii").splitlines()
    assert head is not None and head_of(lines) == (head.number, head.hash)
    for number in range(5):
        with pytest.raises(ValueError, match=f"entry {number + 1} was changed"):
            head_of([*lines[:number], lines[number].replace(RUN, RUN[::-1]), *lines[number + 1 :]])
        if number < 4:
            with pytest.raises(ValueError, match=f"entry {number + 1} is missing"):
                head_of(lines[:number] + lines[number + 1 :])
