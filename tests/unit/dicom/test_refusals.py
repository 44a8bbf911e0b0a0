"""Every refusal by its name, and that each is documented."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.dicom_input import Frames
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom import study, zips
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.dicom.refusals import Refusal
from edge_runtime.errors import DicomError
from tests.dicom_objects import (
    BASELINE,
    CAPTURE,
    MAMMOGRAM,
    MAMMOGRAM_FOR_PROCESSING,
    file_of,
    image,
    meant,
    report,
    ultrasound,
    with_region,
)
from tests.dicom_specs import ANYTHING, PLAIN, SOUND, X_RAY, accepting
from tests.places import ROOT as PROJECT

SHOWN = meant()
SPACED = {"ImagerPixelSpacing": [0.2, 0.2]}
PDF, SEGMENTATION = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.66.4"


def breast(pixels: Any = SHOWN, **elements: Any) -> Dataset:
    return image(pixels, MAMMOGRAM, **{**SPACED, **elements})


def without(dataset: Dataset, *keywords: str) -> Dataset:
    for keyword in keywords:
        delattr(dataset, keyword)
    return dataset


def captioned(**elements: Any) -> Dataset:
    frame = (meant(200, 300) * 0.6).astype(np.uint8)
    cv2.putText(frame, "MAMA DIREITA", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    return ultrasound(frame, **elements)


def table(**elements: Any) -> Dataset:
    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


CASES: list[tuple[str, ModelSpec, Callable[[], Dataset]]] = [
    ("for_processing", X_RAY, lambda: image(SHOWN, MAMMOGRAM_FOR_PROCESSING)),
    ("for_processing", X_RAY, lambda: breast(PresentationIntentType="FOR PROCESSING")),
    ("document", SOUND, lambda: without(image(SHOWN, PDF), "PixelData")),
    ("segmentation", SOUND, lambda: image(SHOWN, SEGMENTATION)),
    ("no_pixels", SOUND, lambda: without(ultrasound(SHOWN), "PixelData")),
    ("float_pixels", X_RAY, lambda: without(breast(FloatPixelData=b"\0" * 4), "PixelData")),
    ("one_bit", X_RAY, lambda: breast(BitsAllocated=1, BitsStored=1, HighBit=0)),
    ("bits", X_RAY, lambda: breast(BitsAllocated=32)),
    ("bits", X_RAY, lambda: breast(SHOWN.astype(np.uint16), BitsStored=17)),
    ("not_accepted", X_RAY, lambda: ultrasound(SHOWN)),
    ("not_accepted", SOUND, lambda: with_region(image(SHOWN, CAPTURE), 0, 0, 9, 9)),
    ("not_accepted", PLAIN, lambda: ultrasound(SHOWN)),
    ("photometric", X_RAY, lambda: breast(np.stack([SHOWN] * 3, -1))),
    ("photometric", X_RAY, lambda: breast(PhotometricInterpretation="HSV")),
    ("photometric", SOUND, lambda: ultrasound(SHOWN, PhotometricInterpretation="PALETTE COLOR")),
    ("photometric", SOUND, lambda: ultrasound(SHOWN, PhotometricInterpretation="RGB")),
    ("polarity", X_RAY, lambda: breast(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY")),
    ("polarity", X_RAY, lambda: breast(PresentationLUTShape="LIN OD")),
    ("modality_lut", X_RAY, lambda: breast(RescaleSlope=0, WindowCenter=128, WindowWidth=256)),
    ("modality_lut", X_RAY, lambda: breast(ModalityLUTSequence=[Dataset()], WindowCenter=128, WindowWidth=256)),
    ("window_missing", X_RAY, lambda: breast(SHOWN.astype(np.uint16), BitsStored=12)),
    ("window_missing", X_RAY, lambda: breast(RescaleSlope=2, RescaleIntercept=0)),
    ("window_kind", X_RAY, lambda: breast(WindowCenter=128, WindowWidth=256, VOILUTFunction="SIGMOID")),
    ("window_kind", X_RAY, lambda: breast(WindowCenter=128, WindowWidth=256, VOILUTFunction="OTHER")),
    ("window_kind", X_RAY, lambda: breast(VOILUTSequence=[table(LUTExplanation="x")])),
    ("window_invalid", X_RAY, lambda: breast(WindowCenter=128)),
    ("window_invalid", X_RAY, lambda: breast(WindowCenter=128, WindowWidth=0)),
    ("window_invalid", X_RAY, lambda: breast(WindowCenter=128, WindowWidth=0, VOILUTFunction="LINEAR_EXACT")),
    ("regions_missing", SOUND, lambda: without(ultrasound(SHOWN), "SequenceOfUltrasoundRegions")),
    ("regions_several", SOUND, lambda: with_region(ultrasound(SHOWN), 0, 0, 20, 20)),
    ("region_kind", SOUND, lambda: with_region(image(SHOWN), 0, 0, 20, 20, RegionDataType=2)),
    ("region_kind", SOUND, lambda: with_region(image(SHOWN), 0, 0, 20, 20, RegionSpatialFormat=3)),
    ("region_bounds", SOUND, lambda: with_region(image(SHOWN), 0, 0, 161, 20)),
    ("region_bounds", SOUND, lambda: with_region(image(SHOWN), 30, 0, 20, 20)),
    ("spacing_missing", X_RAY, lambda: image(SHOWN, MAMMOGRAM)),
    ("spacing_wrong", X_RAY, lambda: image(SHOWN, MAMMOGRAM, PixelSpacing=[0.2, 0.1])),
    ("frames", SOUND, lambda: ultrasound(np.stack([SHOWN] * 3))),
    ("burnt_in", X_RAY, lambda: breast(BurnedInAnnotation="YES")),
    ("burnt_in", SOUND, lambda: captioned()),
    ("burnt_in", SOUND, lambda: captioned(BurnedInAnnotation="YES")),
    ("lossy", X_RAY, lambda: breast(LossyImageCompression="01")),
    ("size_wrong", X_RAY, lambda: breast(Rows=121)),
    ("size_wrong", X_RAY, lambda: breast(Rows=0)),
    ("too_large", X_RAY, lambda: breast(Rows=65535, Columns=65535)),
]  # fmt: skip


@pytest.mark.parametrize("code, spec, make", CASES, ids=[f"{code}-{n}" for n, (code, *_) in enumerate(CASES)])
def test_an_object_is_refused_by_name(code: str, spec: ModelSpec, make: Callable[[], Dataset]) -> None:
    dataset = make()
    with pytest.raises(DicomError) as caught:
        image_of(dataset, spec, name="study/IM1")
    assert caught.value.code == f"dicom_{code}"
    assert caught.value.message.startswith("study/IM1: found ") and ", expected " in caught.value.message


def test_an_overlay_in_unused_bits_is_refused() -> None:
    dataset = breast(SHOWN.astype(np.uint16) << 4, BitsStored=12, WindowCenter=2040, WindowWidth=4081)
    dataset.add_new((0x6000, 0x0102), "US", 12)
    with pytest.raises(DicomError) as caught:
        image_of(dataset, X_RAY)
    assert caught.value.code == "dicom_overlay"


def test_a_value_that_does_not_parse_is_refused_without_its_text() -> None:
    data = file_of(breast(WindowCenter="128", WindowWidth="256")).replace(b"256 ", b"x1y ")
    with pytest.raises(DicomError) as caught:
        image_of(read_dataset(data), X_RAY)
    assert caught.value.code == "dicom_damaged" and "x1y" not in caught.value.message


def test_pixels_with_loss_are_accepted_where_the_spec_says_so() -> None:
    dataset = read_dataset(file_of(image(SHOWN), BASELINE))
    with pytest.raises(DicomError) as caught:
        image_of(dataset, replace(SOUND, dicom=replace(SOUND.dicom, lossy=False)))  # type: ignore[type-var]
    assert caught.value.code == "dicom_lossy"
    assert image_of(dataset, ANYTHING).pixels.shape == SHOWN.shape


def test_a_caption_is_accepted_where_the_object_says_that_there_is_none() -> None:
    assert image_of(captioned(BurnedInAnnotation="NO"), SOUND).pixels.shape == (200, 300)
    assert image_of(ultrasound(SHOWN), SOUND).pixels.shape == SHOWN.shape


def test_frames_that_are_not_there_are_refused() -> None:
    clip = ultrasound(np.stack([SHOWN, SHOWN[::-1]]))
    for frame in (0, 3):
        with pytest.raises(DicomError) as caught:
            image_of(clip, SOUND, frame)
        assert caught.value.code == "dicom_frame_unknown"
    assert np.array_equal(image_of(clip, SOUND, 2).pixels, SHOWN[::-1])


def test_all_frames_are_a_case_only_where_the_spec_says_so() -> None:
    clip = study.OpenedObject(ultrasound(np.stack([SHOWN] * 3)), "x", study.FrameChoice.ALL, (), None)
    assert clip.frames(SOUND) == (1, 2, 3)
    chosen = replace(SOUND, dicom=replace(SOUND.dicom, frames=Frames.CHOSEN))  # type: ignore[type-var]
    with pytest.raises(DicomError) as caught:
        clip.frames(chosen)
    assert caught.value.code == "dicom_frames"
    single = study.OpenedObject(ultrasound(SHOWN), "x", study.FrameChoice.ALL, (), None)
    assert single.frames(SOUND) == (None,)


def test_a_model_without_dicom_names_those_that_accept_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(breast())
    with pytest.raises(DicomError) as caught:
        study.open_object(data, "x", None, (), PLAIN)
    assert caught.value.code == "dicom_not_accepted"
    assert "Digital Mammography X-Ray Image Storage - For Presentation" in caught.value.message
    assert "Models that accept it: mias-region." in caught.value.message


def test_without_pydicom_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DicomError, match=r'pip install "edge-predict\[dicom\]"') as caught:
        study.open_object(file_of(breast()), "x", None, (), X_RAY)
    assert caught.value.code == "dicom_not_installed"


def test_a_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import pydicom.pixels

    class Missing:
        is_available = False

    dataset = read_dataset(file_of(image(SHOWN), BASELINE))
    monkeypatch.setattr(pydicom.pixels, "get_decoder", lambda _uid: Missing())
    with pytest.raises(DicomError, match=r'pip install "edge-predict\[dicom-codecs\]"') as caught:
        image_of(dataset, ANYTHING)
    assert caught.value.code == "dicom_codec_missing"


def test_a_data_set_that_pydicom_read_itself_is_taken() -> None:
    data = file_of(ultrasound(SHOWN))
    assert np.array_equal(image_of(dcmread(io.BytesIO(data)), SOUND).pixels, SHOWN)
    bare = ultrasound(SHOWN)
    del bare.file_meta
    with pytest.raises(DicomError) as caught:
        image_of(bare, SOUND)
    assert caught.value.code == "dicom_compression"


def test_a_secondary_capture_needs_exactly_one_region() -> None:
    spec = replace(SOUND, dicom=replace(accepting(CAPTURE).dicom, crop=SOUND.dicom.crop))  # type: ignore
    assert image_of(with_region(image(SHOWN, CAPTURE), 10, 10, 59, 49), spec).pixels.shape == (40, 50)
    with pytest.raises(DicomError) as caught:
        image_of(image(SHOWN, CAPTURE), spec)
    assert caught.value.code == "dicom_regions_missing"


def test_every_refusal_is_documented_and_tried() -> None:
    listed = (PROJECT / "docs/reference/errors.md").read_text(encoding="utf-8")
    helped = (PROJECT / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8")
    tried = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tests").rglob("dicom/*.py"))
    for reason in Refusal:
        assert f"`{reason.code}`" in listed and f"`{reason.code}`" in helped, reason
        assert reason.code in tried or f'("{reason.value}"' in tried, f"no test of {reason}"


def test_marks_and_zips_are_refused_by_name(tmp_path: Any) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK\3\4" + bytes(50))
    with pytest.raises(DicomError) as caught:
        zips.StudyZip(str(path), str(path)).entries()
    assert caught.value.code == "dicom_zip"
    opened = study.OpenedObject(breast(), "x", None, (report([50, 40, 53, 44]),) * 2, None)
    region_spec = replace(X_RAY, region=find("mias-region").manifest.spec.region)
    assert opened.image(region_spec, None, None)[1] is not None
