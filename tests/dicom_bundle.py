"""The committed phantom bundle as one that accepts ultrasound objects, for tests of reports, receiver and Orthanc."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import onnx

from edge_runtime.bundle.bundle import describe_files, find, write_manifest
from edge_runtime.bundle.dicom_input import DicomCrop, DicomInput, Photometric, SopClass, Voi
from edge_runtime.bundle.embedded import KEY
from edge_runtime.bundle.runtime_manifest import Format
from edge_runtime.serialisation.records import canonical_json
from export.converters import tflite_file
from tests.dicom_sources import ULTRASOUND
from tests.phantom_bundle import CHECKED

ACCEPTED = DicomInput(
    objects=(SopClass(ULTRASOUND, "Ultrasound Image Storage"),),
    photometric=(Photometric.RGB, Photometric.MONOCHROME2),
    voi=(Voi.NONE,),
    crop=DicomCrop.ULTRASOUND_REGION,
)


def write_dicom_bundle(folder: Path) -> Path:
    """Write the bundle to ``folder``, and return its path; the files' embedded specs are replaced, too."""
    path = shutil.copytree(CHECKED, folder / CHECKED.name)
    manifest = find(path).manifest
    spec = replace(manifest.spec, dicom=ACCEPTED)
    for entry in manifest.files:
        if entry.format is Format.TFLITE:
            tflite_file.embed(path / entry.name, spec)
        elif entry.format is Format.ONNX:
            model = onnx.load(path / entry.name)
            onnx.helper.set_model_props(model, {KEY: canonical_json(spec), "labels": ", ".join(spec.labels)})
            onnx.save(model, path / entry.name)
    files = describe_files(path, [(e.name, e.role, e.format, e.precision) for e in manifest.files])
    write_manifest(path, replace(manifest, spec=spec, contract=spec.contract, files=files))
    return path
