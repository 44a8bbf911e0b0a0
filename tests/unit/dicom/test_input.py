"""The key ``dicom`` of a spec: its checks, its JSON, and its part in the contract."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.dicom_input import DicomInput, Photometric, SopClass, Voi
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.serialisation.records import from_json, to_dict
from tests.dicom_objects import BREAST, WHOLE
from tests.dicom_specs import PLAIN, SOUND


def test_a_spec_without_the_key_keeps_its_contract_and_bytes() -> None:
    steps = json.dumps(to_dict(PLAIN.steps), sort_keys=True, separators=(",", ":"))
    assert PLAIN.contract == hashlib.sha256(steps.encode()).hexdigest()
    assert "dicom" not in to_dict(PLAIN)


def test_the_key_is_a_part_of_the_contract() -> None:
    stated = {"dicom": to_dict(WHOLE), "steps": to_dict(SOUND.steps)}
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"))
    assert SOUND.contract == hashlib.sha256(text.encode()).hexdigest()
    others = {
        SOUND.contract,
        replace(SOUND, dicom=BREAST).contract,
        replace(SOUND, dicom=replace(WHOLE, lossy=False)).contract,
        replace(SOUND, dicom=replace(WHOLE, voi=(Voi.NONE,))).contract,
        replace(SOUND, dicom=replace(WHOLE, spacing_mm=0.1)).contract,
    }
    assert len(others) == 5


def test_the_key_is_read_as_it_is_written() -> None:
    assert from_json(ModelSpec, json.dumps(to_dict(SOUND)), "x") == SOUND
    changed = to_dict(SOUND)
    changed["dicom"]["voi"] = ["stretched"]
    with pytest.raises(ManifestError, match="linear"):
        from_json(ModelSpec, json.dumps(changed), "x")


@pytest.mark.parametrize(
    "change",
    [
        {"objects": ()},
        {"objects": WHOLE.objects[:1] * 2},
        {"photometric": ()},
        {"voi": ()},
        {"spacing_mm": 0.0},
        {"spacing_mm": 11.0},
    ],
)
def test_keys_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(WHOLE, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("uid", ["", "1", "1.2.x", "1." + "2" * 64])
def test_uids_are_checked(uid: str) -> None:
    with pytest.raises(ValueError, match="uid"):
        SopClass(uid, "x")


def test_the_models_that_ship_state_their_objects() -> None:
    stated = {name: find(name).manifest.spec.dicom for name in ("breast-us", "breast-us-lesion", "mias-region")}
    ultrasound, lesion, breast = stated.values()
    assert ultrasound is not None and lesion is not None and breast is not None
    assert replace(lesion, frames=ultrasound.frames) == ultrasound
    assert ultrasound.accepts("1.2.840.10008.5.1.4.1.1.6.1") and not ultrasound.accepts("1.2.840.10008.5.1.4.1.1.1.2")
    assert breast.spacing_mm == 0.2 and not any(not each.is_grey for each in breast.photometric)
    assert Photometric.RGB in ultrasound.photometric and isinstance(breast, DicomInput)
