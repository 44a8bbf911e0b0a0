"""Specs for DICOM tests that need no network."""

from __future__ import annotations

from dataclasses import replace

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.dicom_input import DicomInput, Frames, Photometric, SopClass, Voi
from edge_runtime.bundle.spec import ModelSpec
from tests.dicom_objects import BREAST, CAPTURE, MAMMOGRAM, ULTRASOUND, ULTRASOUND_FRAMES, WHOLE

PLAIN: ModelSpec = replace(find("idc-patch-compact").manifest.spec, name="plain")
"""A spec without DICOM."""


def accepting(*uids: str, name: str = "anything") -> ModelSpec:
    """A spec that takes every kind of pixels from objects of these classes."""
    objects = tuple(SopClass(uid, "an object of this test") for uid in uids)
    return replace(
        PLAIN, name=name, dicom=DicomInput(objects, tuple(Photometric), tuple(Voi), frames=Frames.CASE, lossy=True)
    )


ANYTHING = accepting(ULTRASOUND, ULTRASOUND_FRAMES, MAMMOGRAM, CAPTURE)
SOUND: ModelSpec = replace(PLAIN, name="sound", dicom=WHOLE)
X_RAY: ModelSpec = replace(PLAIN, name="x-ray", dicom=BREAST)
