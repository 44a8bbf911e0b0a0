"""Links, pipes, sockets, folders and oversized files in a bundle are rejected without being read."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.bundle import limits
from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, find
from edge_runtime.errors import BundleError, BundleNotFoundError, IntegrityError, ManifestError
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import CARD, MODEL


def link_out(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")


def link_up(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(f"../../{folder.name}/{name}")


def pipe(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def link_round(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(name)


def link_to_pipe(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / "pipe")
    (folder / name).symlink_to("pipe")


def socket_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_RDONLY)  # an address holds 107 letters, and temporary folders have long names
        listener.bind(f"/proc/self/fd/{here}/{name}")
        os.close(here)


def directory(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()


# What stands in a file's place, and what the message must say; a pipe that were read would wait for ever.
NO_PLAIN_FILES: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "a link to a file outside, whose bytes are right": (link_out, "a link to .*elsewhere.*, outside the bundle"),
    "a link to nothing": (link_up, "outside the bundle|No such file"),
    "a link to itself": (link_round, "Too many levels of symbolic links"),
    "a pipe": (pipe, "found a pipe, expected a regular file"),
    "a socket": (socket_file, "found a socket, expected a regular file"),
    "a link to a pipe": (link_to_pipe, "found a pipe, expected a regular file"),
    "a folder": (directory, "found a folder, expected a regular file"),
}


@pytest.mark.parametrize("case", NO_PLAIN_FILES)
def test_what_is_no_file_of_the_bundle_is_not_read(case: str, tmp_path: Path) -> None:
    change, words = NO_PLAIN_FILES[case]
    folder = small_bundle.make(tmp_path / "bundle")
    change(folder, MODEL)
    opened = find(folder)
    with pytest.raises(IntegrityError, match=rf"{MODEL} cannot be read \(.*({words})"):
        opened.content(opened.manifest.files[0])
    with pytest.raises(IntegrityError):
        opened.verify()


@pytest.mark.parametrize("case", NO_PLAIN_FILES)
def test_what_stands_for_the_manifest_and_is_no_file_of_the_bundle_is_not_read(case: str, tmp_path: Path) -> None:
    change, words = NO_PLAIN_FILES[case]
    folder = small_bundle.make(tmp_path / "bundle")
    change(folder, MANIFEST)
    with pytest.raises(BundleError, match=rf"found no bundle\.json|{MANIFEST}: cannot be read \(.*({words})"):
        find(folder)


@pytest.mark.parametrize("suffix", ["", ".zip", ".tflite", ".onnx", ".json"])
@pytest.mark.parametrize("case", [case for case in NO_PLAIN_FILES if "outside" not in case and case != "a folder"])
def test_what_is_named_and_is_no_file_is_not_read(case: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.touch()
    NO_PLAIN_FILES[case][0](tmp_path, path.name)
    with pytest.raises(BundleNotFoundError, match=r"found a (pipe|socket)|cannot be opened|no such path") as caught:
        find(path)
    assert path.name in caught.value.message


def test_a_file_larger_than_named_is_not_read(tmp_path: Path) -> None:
    """A sparse file of 1 TB takes no room on the disk, and all of the memory of whoever reads it."""
    folder = small_bundle.make(tmp_path / "bundle")
    os.truncate(folder / MODEL, 1 << 40)
    with pytest.raises(IntegrityError, match=rf"{MODEL} has {1 << 40} bytes, bundle\.json names \d+\."):
        find(folder).verify()
    for name in (MANIFEST, SIGNATURE):
        (folder / name).touch()
        os.truncate(folder / name, 1 << 40)
    with pytest.raises(ManifestError, match=rf"it has {1 << 40} bytes, expected at most {limits.LARGEST_RECORD}"):
        find(folder)
    os.truncate(folder / MODEL, 1 << 40)
    with pytest.raises(BundleNotFoundError, match=rf"it has {1 << 40} bytes, expected at most {limits.LARGEST_FILE}"):
        find(folder / MODEL)


def test_a_link_inside_the_bundle_is_a_file_of_it(tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    (folder / CARD).rename(folder / "card")
    (folder / CARD).symlink_to("card")
    found = find(folder)
    assert found.content(found.manifest.files[1]) == (folder / "card").read_bytes()
    with pytest.raises(IntegrityError, match="found card, which"):
        found.verify()


def test_a_manifest_that_lies_outside_is_refused(tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    link_out(folder, MANIFEST)
    with pytest.raises(ManifestError, match=r"bundle\.json: cannot be read \(a link to .*outside the bundle"):
        find(folder)


@pytest.mark.parametrize("name", ["broken link", "pipe", "link to a folder"])
def test_what_hides_in_a_bundle_is_named(name: str, tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    if name == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(tmp_path if "folder" in name else "nowhere")
    with pytest.raises(IntegrityError, match=f"found {name}, which bundle.json does not name"):
        find(folder).verify()
