"""Every file of pydicom's and pydicom-data's own tests: read or refused by name, as ``published_files.csv`` lists.

``python -m tests.integration.dicom.test_published_files`` writes the list anew. The spec takes every kind of pixels
from objects of every class; of several frames the first one is read.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from edge_runtime.dicom.dataset import read_dataset, silent, text
from edge_runtime.dicom.decoding import frame_of
from edge_runtime.dicom.layout import layout_of
from edge_runtime.dicom.pixels import image_of
from edge_runtime.dicom.syntaxes import RLE
from edge_runtime.errors import EdgeError
from tests.dicom_specs import accepting

LIST = Path(__file__).with_name("published_files.csv")
OTHER = {".py", ".pyc", ".json", ".md", ".txt", ".sh", ".csv", ".toml"}


def roots() -> dict[str, Path]:
    found = {"pydicom": Path(pydicom.__file__).parent / "data"}
    more = importlib.util.find_spec("data_store")
    if more is not None and more.origin is not None:
        found["pydicom-data"] = Path(more.origin).parent
    return found


def files() -> Iterator[tuple[str, Path]]:
    for package, root in roots().items():
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in OTHER and "__pycache__" not in path.parts:
                yield f"{package}/{path.relative_to(root).as_posix()}", path


def outcome(path: Path) -> str:
    """``read WIDTHxHEIGHT grey`` or the code of the refusal."""
    try:
        dataset = read_dataset(path, "x")
        with silent("x"):
            uid = text(dataset, "SOPClassUID")
        spec = accepting(uid if uid.replace(".", "").isdigit() else "1.2")
        try:
            image = image_of(dataset, spec)
        except EdgeError as error:
            if error.code != "dicom_frames":
                raise
            image = image_of(dataset, spec, 1)
    except EdgeError as error:
        return error.code
    height, width = image.pixels.shape[:2]
    return f"read {width}x{height} {'grey' if image.pixels.ndim == 2 else 'colour'}"


def test_every_file_is_read_or_refused_as_listed() -> None:
    if "pydicom-data" not in roots():
        pytest.skip("pydicom-data is not installed")
    with LIST.open(encoding="utf-8", newline="") as file:
        listed = {row["file"]: row["outcome"] for row in csv.DictReader(file)}
    found = {name: outcome(path) for name, path in files()}
    differ = {name: (listed.get(name), found.get(name)) for name in {*listed, *found}}
    assert not {name: pair for name, pair in differ.items() if pair[0] != pair[1]}
    read = sum(each.startswith("read") for each in found.values())
    print(f"{read} of {len(found)} read")
    assert read > 120


def test_rle_is_decoded_as_pydicom_decodes_it() -> None:
    """The decoder here is bounded; pydicom's is the oracle."""
    compared = 0
    for _, path in files():
        try:
            dataset = read_dataset(path, "x")
            layout = layout_of(dataset, "x")
        except EdgeError:
            continue
        if layout.syntax.uid != RLE or layout.allocated > 16:
            continue
        pixels, _ = frame_of(dataset, layout, 0, "x")
        with silent("x"):
            oracle = dataset.pixel_array
        assert np.array_equal(pixels, oracle[0] if layout.frames > 1 else oracle), path.name
        compared += 1
    assert compared >= 5


if __name__ == "__main__":
    with LIST.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "outcome"))
        writer.writerows((name, outcome(path)) for name, path in files())
