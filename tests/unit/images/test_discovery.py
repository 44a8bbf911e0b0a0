"""Every entry of a folder is an image to answer or is left out with its reason; none is missing without a word."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError, ImageUnreadableError
from edge_runtime.images import discovery
from edge_runtime.images.content import ContentKind, kind_of
from edge_runtime.images.discovery import folder_error, look_into
from edge_runtime.images.formats import inspect
from edge_runtime.images.left_out import LeftOut, LeftOutReason, summary

PIXELS = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
DICOM = b"\0" * 128 + b"DICM" + b"\0" * 99
TAKEN = ("PNG", "JPEG", "BMP", "TIFF", "PPM", "WEBP")
NOT_TAKEN = ("GIF", "JPEG2000", "AVIF")


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


PNG = encoded("PNG")


def fill(root: Path, entries: dict[str, bytes]) -> Path:
    for name, data in entries.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def images(root: Path) -> list[str]:
    return [os.path.relpath(image.path, root) for image in look_into(root).images]


def reasons(root: Path) -> dict[str, str]:
    return {os.path.relpath(item.path, root): item.reason.value for item in look_into(root).left_out}


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


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
def test_links_loops_and_special_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path / "in", {"deep/a.png": PNG})
    fill(tmp_path / "other", {"b": PNG})
    for name, target in {
        **{"link.png": "deep/a.png", "link": "../other/b", "gone": "nowhere", "gone.png": "nowhere"},
        **{"folder": "../other", "deep/here": ".", "deep/up": "..", "above": str(tmp_path), "self": "self"},
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "fifo.png")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    assert images(root) == ["deep/a.png", "fifo.png", "gone.png", "link", "link.png"]
    assert reasons(root) == {
        **{"above": "loop", "deep/here": "loop", "deep/up": "loop", "self": "loop", "folder": "linked_folder"},
        **{"gone": "broken_link", "fifo": "special_file", "socket": "special_file"},
    }


def test_a_mounted_folder_that_holds_itself_is_entered_once(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"a.png": PNG, "again/x": b""})
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "--bind", str(root), str(root / "again")], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("this user may not mount")
    try:
        assert images(root) == ["a.png"]
        assert reasons(root) == {"again": "loop"}
    finally:
        subprocess.run(["umount", str(root / "again")], check=True)


def test_order_is_that_of_paths_compared_part_by_part(tmp_path: Path) -> None:
    names = [
        "b.png",
        "a.PNG",
        "sub/deep/c.jpeg",
        "sub/a.webp",
        "sub-b/a.png",
        "sub.png",
        "x.png/in.tif",
        "Ü.png",
        "10",
        "9",
    ]
    fill(tmp_path, dict.fromkeys(names, PNG))
    expected = sorted(tmp_path / name for name in names)
    assert [Path(image.path) for image in look_into(tmp_path).images] == expected


def test_paths_follow_from_the_folder_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"in/a.png": PNG, "in/.x": b""})
    monkeypatch.chdir(tmp_path)
    for given, expected in {
        ".": "in/a.png",
        "in": "in/a.png",
        "./in/": "in/a.png",
        str(tmp_path): f"{tmp_path}/in/a.png",
    }.items():
        found = look_into(given)
        assert [image.path for image in found.images] == [expected]
        assert [item.path for item in found.left_out] == [expected.replace("a.png", ".x")]


def test_a_tree_deeper_than_recursion_goes_is_walked(tmp_path: Path) -> None:
    """With the tools of the system: pathlib and shutil of some Pythons do not go as deep."""
    deepest = os.path.join(tmp_path, *["d"] * 1200)
    subprocess.run(["mkdir", "-p", deepest], check=True)
    try:
        Path(deepest, "a.png").write_bytes(PNG)
        assert [image.path for image in look_into(tmp_path).images] == [os.path.join(deepest, "a.png")]
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_what_cannot_be_opened_is_unreadable_unless_its_ending_says_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"a": PNG, "b.png": PNG, "c": PNG})
    whole = discovery.head_of

    def closed(path: str) -> bytes:
        if Path(path).name != "c":
            raise PermissionError(13, "Permission denied", path)
        return whole(path)

    monkeypatch.setattr(discovery, "head_of", closed)
    assert images(tmp_path) == ["b.png", "c"]
    assert reasons(tmp_path) == {"a": "unreadable"}


def shut(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    listed = os.scandir

    def closed(path: Any) -> Any:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", closed)


def test_a_folder_that_cannot_be_listed_is_told_and_the_others_are_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"a.png": PNG, "sub/b.png": PNG, "z/c.png": PNG})
    shut(monkeypatch, "sub")
    assert images(tmp_path) == ["a.png", "z/c.png"]
    (error,) = look_into(tmp_path).unreadable
    assert error.filename == str(tmp_path / "sub")
    told = folder_error(error)
    assert isinstance(told, ImageUnreadableError)
    assert told.code == "folder_unreadable"
    assert "sub: found a folder that cannot be listed (Permission denied)" in told.message


def test_a_folder_that_can_be_listed_and_not_entered_is_told_once(
    tmp_path: Path, refusing_status: Callable[[Path], None]
) -> None:
    fill(tmp_path, {"a.png": PNG, "b.png": PNG})
    refusing_status(tmp_path)
    found = look_into(tmp_path)
    assert found.images == ()
    assert [error.filename for error in found.unreadable] == [str(tmp_path)]


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    (error,) = look_into(tmp_path / "gone").unreadable
    assert "No such file" in folder_error(error).message


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
