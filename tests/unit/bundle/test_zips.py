"""A zip is the folder that was zipped, by whatever program; one that is made to harm is refused by name."""

from __future__ import annotations

import io
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.bundle import limits, zips
from edge_runtime.bundle.bundle import MANIFEST, find
from edge_runtime.bundle.registry.install import install
from edge_runtime.bundle.signing.keys import write_key_pair
from edge_runtime.bundle.signing.sealing import sign_folder
from edge_runtime.errors import BundleError, IntegrityError, ManifestError
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import CARD, FILES, MODEL

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0"
Entries = list[tuple[str, bytes]]


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A signed bundle; ``maker.pub`` beside it is its key, and the store is empty."""
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    write_key_pair(tmp_path / "maker")
    folder = small_bundle.make(tmp_path / "b")
    sign_folder(folder, tmp_path / "maker")
    return folder


def entries(folder: Path, top: str = "") -> Entries:
    return [(top + path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def write(path: Path, found: Entries) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in found:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


# What a folder becomes in the hands of a file manager.
BY_HAND: dict[str, Callable[[Path], Entries]] = {
    "flat": entries,
    "Explorer, folder on top": lambda b: entries(b, "b/"),
    "Explorer, with its own entry": lambda b: [("b/", b""), *entries(b, "b/"), ("b/desktop.ini", b"[x]")],
    "Explorer's thumbnails": lambda b: [*entries(b, "b/"), ("b/Thumbs.db", b"\xd0\xcf")],
    ".NET before 4.6.1": lambda b: [("b\\", b""), *entries(b, "b\\")],
    "Finder": lambda b: [
        ("b/", b""),
        *entries(b, "b/"),
        ("__MACOSX/", b""),
        ("b/.DS_Store", b"\0\0\0\1Bud1"),
        ("__MACOSX/b/", b""),
        *((f"__MACOSX/b/._{path.name}", APPLE_DOUBLE) for path in b.iterdir()),
        ("__MACOSX/._b", APPLE_DOUBLE),
    ],
    "Finder, the files marked": lambda b: [*entries(b), ("__MACOSX/._bundle.json", APPLE_DOUBLE), (".DS_Store", b"x")],
    "a stick that a Mac wrote to": lambda b: [*entries(b, "b/"), ("b/._bundle.json", APPLE_DOUBLE), ("._b", b"")],
    "unpacked and zipped again": lambda b: [("b/", b""), ("b/b/", b""), *entries(b, "b/b/")],
    "with a dot before": lambda b: entries(b, "./b/"),
    "other letters in the folder's name": lambda b: entries(b, "modèle (1)/"),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_a_folder_zipped_by_hand_is_the_bundle(case: str, signed: Path, tmp_path: Path) -> None:
    """Opened, verified, installed, with and without a key; what is installed is the folder's files alone."""
    path, key = write(tmp_path / "by hand.zip", BY_HAND[case](signed)), tmp_path / "maker.pub"
    assert find(path).verify() == find(path, trusted_key=key).verify() == FILES
    opened = find(path)
    assert [opened.content(entry) for entry in opened.manifest.files] == [
        (signed / name).read_bytes() for name in (MODEL, CARD)
    ]
    change = install(path, trusted_key=key)
    assert {p.name: p.read_bytes() for p in change.folder.iterdir()} == {
        p.name: p.read_bytes() for p in signed.iterdir()
    }


def test_a_zip_is_known_by_its_content(signed: Path, tmp_path: Path) -> None:
    for name in ("bundle", "bundle.ZIP", "bundle.bin"):
        assert find(write(tmp_path / name, entries(signed, "b/"))).verify() == FILES


def test_litter_in_a_folder_is_none_of_the_bundle_and_a_link_called_so_is(signed: Path, tmp_path: Path) -> None:
    (signed / ".DS_Store").write_bytes(b"x")
    (signed / "._bundle.json").write_bytes(APPLE_DOUBLE)
    (signed / "__MACOSX").mkdir()
    (signed / "__MACOSX" / "._b").write_bytes(APPLE_DOUBLE)
    assert find(signed, trusted_key=tmp_path / "maker.pub").verify() == FILES
    assert sorted(p.name for p in install(signed).folder.iterdir()) == sorted([MANIFEST, "bundle.sig", MODEL, CARD])
    (signed / "._link").symlink_to(CARD)
    with pytest.raises(IntegrityError, match=r"found \._link, which"):
        find(signed).verify()


@pytest.mark.parametrize(
    "name, shown",
    [
        ("b/notes.txt", "notes.txt"),
        ("read me.txt", "../read me.txt"),
        ("b/.hidden", ".hidden"),
        ("b/DS_Store", "DS_Store"),
        ("b/sub/model.tflite", "sub/model.tflite"),
        ("MACOSX/x", "../MACOSX/x"),
    ],
)
def test_whatever_else_lies_in_it_is_still_named(name: str, shown: str, signed: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "more.zip", [*entries(signed, "b/"), (name, b"x")])
    for call in (lambda: find(path).verify(), lambda: find(path, trusted_key=tmp_path / "maker.pub")):
        with pytest.raises(IntegrityError, match=rf"found {shown}, which bundle\.json does not name"):
            call()


def test_two_bundles_and_none_are_refused_with_what_helps(signed: Path, tmp_path: Path) -> None:
    two = write(tmp_path / "two.zip", [*entries(signed, "a/"), *entries(signed, "b/")])
    with pytest.raises(ManifestError, match=r"found 2 bundles in this zip, in 'a/' and 'b/', expected one\. Zip each"):
        find(two)
    inside = write(tmp_path / "inside.zip", [*entries(signed), *entries(signed, "b/")])
    with pytest.raises(ManifestError, match="found 2 bundles"):
        find(inside)
    none = write(tmp_path / "none.zip", [("b/notes.txt", b"x"), ("__MACOSX/bundle.json", b"{}")])
    with pytest.raises(ManifestError, match=r"found no bundle\.json in this zip, expected a bundle's folder, zipped"):
        find(none)


def test_a_folder_around_the_bundles_is_told_where_it_is(signed: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    shutil.copytree(signed, outer / "b")
    with pytest.raises(BundleError, match=rf"found no bundle\.json, expected a bundle\. Name {outer}/b"):
        find(outer)


def encrypted(b: Path) -> Path:
    path = write(b.with_suffix(".zip"), entries(b))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


def linked(b: Path) -> Path:
    path = b.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries(b):
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name == CARD else 0o100644) << 16
            archive.writestr(info, b"/etc/hostname" if name == CARD else data)
    return path


def overlapping(b: Path) -> Path:
    """Lead the directory's second entry into the first one's bytes, and past its header."""
    path = write(b.with_suffix(".zip"), entries(b))
    with zipfile.ZipFile(path) as archive:
        first, second = archive.infolist()[:2]
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4) + 42
    assert struct.unpack_from("<I", data, place)[0] == second.header_offset
    struct.pack_into("<I", data, place, first.header_offset + 31)
    path.write_bytes(data)
    return path


def with_entry(name: str, data: bytes = b"x") -> Callable[[Path], Path]:
    return lambda b: write(b.with_suffix(".zip"), [*entries(b), (name, data)])


def lzma(b: Path) -> Path:
    return small_bundle.zipped(b, zipfile.ZIP_LZMA)


def crowded(b: Path) -> Path:
    return write(b.with_suffix(".zip"), [*entries(b), *((f"f{i}", b"") for i in range(limits.MOST_NAMES))])


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "encrypted": (encrypted, r"found MODEL_CARD\.md, encrypted"),
    "a link": (linked, r"found MODEL_CARD\.md, a link instead of a regular file"),
    "overlapping": (overlapping, "which overlaps the next entry"),
    "an absolute name": (with_entry("/etc/passwd"), "'/etc/passwd', a path outside the archive"),
    "a name that leads up": (with_entry("b/../../x"), "a path outside the archive"),
    "a name that leads up, Windows": (with_entry("..\\x"), "a path outside the archive"),
    "a drive": (with_entry("C:\\x"), "a path outside the archive"),
    "the same name with the other stroke": (
        lambda b: write(b.with_suffix(".zip"), [*entries(b, "b/"), (f"b\\{CARD}", b"x")]),
        "twice",
    ),
    "an unusual method": (lzma, r"compressed by method 14, not stored or deflated"),
    "a bomb": (with_entry("bomb", bytes(200 << 20)), r"bomb, whose \d+ bytes unpack to 209715200"),
    "too many names": (crowded, "it holds 10003 names, expected at most 10000"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_archive_that_no_folder_makes_is_refused_by_name(case: str, tmp_path: Path) -> None:
    change, words = HOSTILE[case]
    path = change(small_bundle.make(tmp_path / "b"))
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=words) as caught:
            find(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.message.startswith(str(path))


def test_a_directory_larger_than_any_bundles_is_not_read(tmp_path: Path) -> None:
    """The end of an archive says how large its directory is; one that lies would have all of it in memory."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("x", b"")
    size = zips._LARGEST_DIRECTORY + 1
    path = tmp_path / "b.zip"
    path.write_bytes(bytes(size) + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(ManifestError, match=f"its directory has {size} bytes, expected at most"):
        find(path)


def test_an_entry_is_read_up_to_the_size_that_the_manifest_names(tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "b")
    (folder / CARD).write_bytes(b"x" * 100_000)
    opened = find(small_bundle.zipped(folder))
    with pytest.raises(IntegrityError, match=rf"{CARD} has 100000 bytes, bundle\.json names 8\."):
        opened.verify()
