"""Every entry of a folder is an image to answer or is left out with its reason; none is missing without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from edge_runtime.errors import ImageError
from edge_runtime.images.content import ContentKind, kind_of
from edge_runtime.images.formats import inspect
from edge_runtime.images.left_out import LeftOut, LeftOutReason, summary
from tests.unit.images.image_folders import PNG, encoded, fill, images, reasons

DICOM = b"\0" * 128 + b"DICM" + b"\0" * 99
TAKEN = ("PNG", "JPEG", "BMP", "TIFF", "PPM", "WEBP")
NOT_TAKEN = ("GIF", "JPEG2000", "AVIF")


@pytest.mark.parametrize("kind", [*TAKEN, *NOT_TAKEN])
def test_an_image_is_told_by_its_content_whatever_it_is_called(kind: str, tmp_path: Path) -> None:
    """The files are Pillow's; what is not taken is refused by name, which is an answer."""
    if kind == "AVIF" and "AVIF" not in Image.registered_extensions().values():
        pytest.skip("this Pillow writes no AVIF")
    data = encoded(kind)
    names = ["IM000001", "a.dat", "b.jfif", "c.jpe", "d.pnm", "e.txt", "f.dcm"]
    fill(tmp_path, dict.fromkeys(names, data))
    assert images(tmp_path) == sorted(names)
    assert reasons(tmp_path) == {}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_the_reader_takes_is_an_image_to_the_folder_too(kind: str) -> None:
    """The folder's own table of signatures must not fall behind the reader's."""
    assert inspect(encoded(kind), "x").width_px == 30
    assert kind_of(encoded(kind)) is ContentKind.IMAGE


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BMI,age\n24,60\n",
        b"P5 people were seen\n",
        b"P2P network",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"II. Methods",
        b"MM\n",
    ],
)
def test_text_that_begins_like_an_image_is_none(head: bytes) -> None:
    assert kind_of(head.ljust(200, b" ")) is ContentKind.OTHER
    assert kind_of(head) is ContentKind.OTHER


LEFT_OUT: dict[str, tuple[bytes, str]] = {
    "a.dcm": (DICOM, "dicom"),
    "IM000001": (DICOM, "dicom"),
    "DICOMDIR": (DICOM, "dicom"),
    "cut.dcm": (b"", "dicom"),
    "no-preamble": (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", "dicom"),
    "meta-first": (b"\x02\0\0\0UL\x04\0\xc0\0\0\0", "dicom"),
    "implicit": (b"\x08\0\0\0\x04\0\0\0\x5e\0\0\0", "dicom"),
    "a.cr2": (b"II*\0\x10\0\0\0CR\x02\0", "camera_raw"),
    "b.NEF": (encoded("TIFF"), "camera_raw"),
    "c.dng": (encoded("TIFF"), "camera_raw"),
    "notes.txt": (b"no image", "unknown_kind"),
    "labels.csv": (b"BMI,label\n", "unknown_kind"),
    "a.zip": (b"PK\x03\x04", "unknown_kind"),
    "report.pdf": (b"%PDF-1.7\n", "unknown_kind"),
    "empty": (b"", "unknown_kind"),
    ".hidden.png": (PNG, "hidden"),
    "~lock.png": (PNG, "hidden"),
    "a.png~": (PNG, "hidden"),
    "._a.png": (b"\0\x05\x16\x07\0\2\0\0", "apple_double"),
    "double.png": (b"\0\x05\x16\x07\0\2\0\0", "apple_double"),
    "a.png.part": (PNG, "unfinished"),
    "a.png.TMP": (PNG, "unfinished"),
    "a.crdownload": (PNG, "unfinished"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0", "system"),
    ".DS_Store": (b"\0\0\0\1Bud1", "system"),
}


def test_every_file_that_is_left_out_has_its_reason(tmp_path: Path) -> None:
    fill(tmp_path, {name: data for name, (data, _) in LEFT_OUT.items()} | {"good.png": PNG})
    assert reasons(tmp_path) == {name: reason for name, (_, reason) in LEFT_OUT.items()}
    assert images(tmp_path) == ["good.png"]


FOLDERS = {
    ".ipynb_checkpoints": "hidden",
    "~old": "hidden",
    "@eaDir": "thumbnail_folder",
    ".thumbnails": "thumbnail_folder",
    "@__thumb": "thumbnail_folder",
    "__MACOSX": "system",
    "$RECYCLE.BIN": "system",
    "lost+found": "system",
    "System Volume Information": "system",
}


def test_hidden_thumbnail_and_system_folders_are_told_and_not_entered(tmp_path: Path) -> None:
    fill(tmp_path, {f"{name}/a.png": PNG for name in FOLDERS} | {"sub/@eaDir/b.png/S.png": PNG, "sub/good.png": PNG})
    assert reasons(tmp_path) == FOLDERS | {"sub/@eaDir": "thumbnail_folder"}
    assert images(tmp_path) == ["sub/good.png"]


@pytest.mark.parametrize("name", [".cache", "@eaDir", "x.png"])
def test_the_folder_that_was_named_is_entered_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {f"{name}/a.png": PNG})
    assert images(tmp_path / name) == ["a.png"]


@pytest.mark.parametrize("data", [b"", b"no image", PNG[:5], DICOM, b"GIF89a"])
def test_a_file_with_an_images_ending_is_never_left_out(data: bytes, tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": data, "b.JPE": data, "c.gif": data, "d.heic": data})
    assert images(tmp_path) == ["a.png", "b.JPE", "c.gif", "d.heic"]
    with pytest.raises(ImageError):
        inspect(data, "a.png")


def test_a_summary_counts_by_reason_and_names_a_few() -> None:
    few = [
        LeftOut("f/a\n.dcm", LeftOutReason.DICOM),
        LeftOut("f/.x", LeftOutReason.HIDDEN),
        LeftOut("f/IM1", LeftOutReason.DICOM),
    ]
    assert summary(few) == (
        r"left out: 2 DICOM (f/a\n.dcm, f/IM1), 1 hidden (f/.x). "
        "Export DICOM as PNG or TIFF with the window that its readers use."
    )
    many = [
        *(LeftOut(f"{i}", LeftOutReason.UNKNOWN_KIND) for i in range(4)),
        *(LeftOut(f".{i}", LeftOutReason.HIDDEN) for i in range(2)),
    ]
    assert summary(many) == "left out: 4 unknown kind, 2 hidden."
