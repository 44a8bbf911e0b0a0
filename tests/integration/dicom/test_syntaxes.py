"""One image in every lossless syntax, polarity and depth: identical tensors and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from edge_runtime import Predictor
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.preprocessing.preprocessor import Preprocessor
from tests.dicom_objects import (
    LOSSLESS,
    MAMMOGRAM,
    SHOWN,
    can_write,
    file_of,
    image,
    meant,
    presentation_state,
    report,
    ultrasound,
    with_region,
)

MOST12, MOST14, MOST16 = ((1 << bits) - 1 for bits in (12, 14, 16))


def stretched(most: int, **elements: Any) -> Dataset:
    stored = np.round(SHOWN * (most / 255)).astype(np.uint16)
    window = {"WindowCenter": (most + 1) / 2, "WindowWidth": most + 1}
    return ultrasound(stored, BitsStored=most.bit_length(), **window, **elements)


def luminance() -> Dataset:
    chroma = np.full_like(SHOWN, 128)
    return ultrasound(np.stack([SHOWN, chroma, chroma], -1), PhotometricInterpretation="YBR_FULL")


def planar() -> Dataset:
    found = ultrasound(np.stack([SHOWN] * 3, -1), PlanarConfiguration=1)
    found.PixelData = np.stack([SHOWN] * 3).tobytes()
    return found


KINDS: dict[str, Callable[[], Dataset]] = {
    "MONOCHROME2": lambda: ultrasound(SHOWN),
    "MONOCHROME1": lambda: ultrasound(255 - SHOWN, PhotometricInterpretation="MONOCHROME1"),
    "INVERSE": lambda: ultrasound(255 - SHOWN, PresentationLUTShape="INVERSE"),
    "12 bits": lambda: stretched(MOST12),
    "14 bits": lambda: stretched(MOST14),
    "16 bits": lambda: stretched(MOST16),
    "RGB": lambda: ultrasound(np.stack([SHOWN] * 3, -1)),
}


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_syntax_gives_the_tensor_and_the_answer_of_the_plain_image(
    kind: str, syntax: str, breast_us: Predictor
) -> None:
    if not can_write(syntax):
        pytest.skip(f"no encoder for {syntax} is installed (dcmtk)")
    data = file_of(KINDS[kind](), syntax)
    found = image_of(read_dataset(data), breast_us.spec)
    tensor = Preprocessor(breast_us.spec.steps).levels(found.decoded())
    plain, answer = breast_us.predict(SHOWN), breast_us.predict(data)
    grey = found.pixels if found.pixels.ndim == 2 else found.pixels[..., 1]
    assert np.array_equal(grey, SHOWN)
    assert np.array_equal(tensor, Preprocessor(breast_us.spec.steps).levels(plain_image(SHOWN)))
    assert (answer.verdict, answer.familiarity) == (plain.verdict, plain.familiarity)


def plain_image(pixels: Any) -> Any:
    from edge_runtime.images.reader import read

    return read(pixels)


@pytest.mark.parametrize(
    "make",
    [
        planar,
        lambda: ultrasound(
            np.stack([SHOWN, SHOWN * 0 + 128, SHOWN * 0 + 128], -1), PhotometricInterpretation="YBR_FULL"
        ),
    ],
    ids=["planes", "YBR_FULL"],
)
def test_colour_that_is_grey_gives_the_answer_of_grey(make: Callable[[], Dataset], breast_us: Predictor) -> None:
    assert breast_us.predict(file_of(make())).verdict == breast_us.predict(SHOWN).verdict


def test_colours_of_a_palette_and_of_half_the_chroma(breast_us: Predictor) -> None:
    palette = ultrasound(SHOWN, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(palette, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        palette[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(palette, f"{colour}PaletteColorLookupTableData", (np.arange(256, dtype=np.uint16) * 257).tobytes())
    assert breast_us.predict(file_of(palette)).verdict == breast_us.predict(SHOWN).verdict
    halved = ultrasound(np.stack([SHOWN] * 3, -1), PhotometricInterpretation="YBR_FULL_422")
    pairs = np.full((240, 150, 4), 128, np.uint8)
    pairs[..., 0], pairs[..., 1] = SHOWN[:, ::2], SHOWN[:, 1::2]
    halved.PixelData = pairs.tobytes()
    assert breast_us.predict(file_of(halved)).verdict == breast_us.predict(SHOWN).verdict


def test_a_frame_cropped_to_its_region_gives_the_answer_of_the_plain_image(breast_us: Predictor) -> None:
    screen = np.random.default_rng(3).integers(0, 255, (500, 640), dtype=np.uint8)
    screen[60:300, 100:400] = SHOWN
    framed = with_region(image(screen), 100, 60, 399, 299)
    assert breast_us.predict(file_of(framed)).verdict == breast_us.predict(SHOWN).verdict


def test_frames_of_a_clip_one_by_one_and_as_a_case(breast_us: Predictor) -> None:
    from edge_runtime.bundle.dicom_input import FrameChoice

    frames = np.stack([SHOWN, SHOWN[::-1], SHOWN // 2])
    data = file_of(ultrasound(frames, SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1"))
    alone = [breast_us.predict(np.ascontiguousarray(frame)) for frame in frames]
    found = [breast_us.predict(data, frame=number) for number in (1, 2, 3)]
    assert [each.verdict for each in found] == [each.verdict for each in alone]
    assert [each.image for each in found] == ["bytes#1", "bytes#2", "bytes#3"]
    case = breast_us.predict(data, frame=FrameChoice.ALL)
    assert case.verdict in [each.verdict for each in alone]
    same = [each for each in alone if each.verdict.decision is case.verdict.decision]
    assert case.verdict.score == max(each.verdict.score for each in same)


@pytest.mark.parametrize("make", [presentation_state, report])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_circle_of_a_study_is_the_region_of_a_plain_image(make: Any, scale: int) -> None:
    """Also where the pixels are half as large: they are brought to the model's spacing."""
    shown = meant(600, 500)
    stored = np.repeat(np.repeat(shown, scale, 0), scale, 1)
    data = file_of(image(stored, MAMMOGRAM, ImagerPixelSpacing=[0.2 / scale] * 2))
    x, y, radius = 250.0, 300.0, 60.0
    corner = [(x + 0.5) * scale, (y + 0.5) * scale, (x + 0.5 + radius) * scale, (y + 0.5) * scale]
    with Predictor.load("mias-region") as predictor:
        plain = predictor.predict(shown, region=(x, y, radius))
        found = predictor.predict(data, marks=[make(corner)])
        by_hand = predictor.predict(data, region=found.region)
    assert found.verdict == by_hand.verdict == plain.verdict
    assert found.region is not None
    assert (found.region.x, found.region.radius) == ((x + 0.5) * scale - 0.5, radius * scale)


def test_the_answer_that_a_report_is_made_of(breast_us: Predictor) -> None:
    from edge_runtime.dicom.answer import answer

    screen = np.zeros((500, 640), np.uint8)
    screen[60:300, 100:400] = SHOWN
    dataset = read_dataset(file_of(with_region(image(screen), 100, 60, 399, 299)))
    found = answer(breast_us, dataset, explain=True)
    assert found.failure is None and found.prediction is not None
    assert found.prediction.verdict == breast_us.predict(SHOWN).verdict
    heatmap = found.heatmap()
    assert heatmap is not None and heatmap.shape == (500, 640)
    assert np.isnan(heatmap[:60]).all() and not np.isnan(heatmap[60:300, 100:400]).all()
    refused = answer(breast_us, read_dataset(file_of(image(screen))))
    assert refused.prediction is None and refused.failure is not None
    assert refused.failure.code == "dicom_regions_missing"
    assert refused.source.rows == 500 and refused.source.instance_uid
