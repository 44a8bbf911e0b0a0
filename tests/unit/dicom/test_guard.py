"""What is judged before a file is parsed."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.dicom import guard, structure
from edge_runtime.dicom.guard import MOST_BYTES, judge
from edge_runtime.dicom.meta_header import class_in_meta
from edge_runtime.dicom.structure import MOST_DEPTH
from edge_runtime.errors import DicomError
from tests.dicom_objects import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, ULTRASOUND, file_of, meant, ultrasound
from tests.places import ROOT


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    long = vr in structure.LONG
    length = b"\0\0" + struct.pack("<I", len(value)) if long else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + vr + length + value


def meta(syntax: str, more: bytes = b"") -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + element(2, 2, b"UI", ULTRASOUND.encode()) + element(2, 0x10, b"UI", uid) + more


def code(data: bytes) -> str:
    with pytest.raises(DicomError) as caught:
        judge(data, "x")
    return caught.value.code


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN])
def test_a_whole_file_is_judged_sound(syntax: str) -> None:
    judged = judge(file_of(ultrasound(meant()), syntax), "x")
    assert (judged.syntax.uid, judged.class_uid) == (syntax, ULTRASOUND)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_a_file_that_was_cut_anywhere_is_refused(syntax: str) -> None:
    """Unless it was cut between two elements: then the pixels are missing, which is told later."""
    data = file_of(ultrasound(meant(16, 16)), syntax)
    pixels = data.index(struct.pack("<HH" if syntax != BIG_ENDIAN else ">HH", 0x7FE0, 0x10))
    first = data.index(struct.pack("<HH" if syntax != BIG_ENDIAN else ">HH", 8, 0x16))
    assert {code(data[:end]) for end in range(pixels + 1, len(data))} == {"dicom_truncated"}
    between = 0
    for end in range(first + 1, pixels):
        try:
            judge(data[:end], "x")
            between += 1
        except DicomError as error:
            assert error.code == "dicom_truncated"
    assert 0 < between < 30


def test_the_prefix_and_the_meta_header_are_required() -> None:
    data = file_of(ultrasound(meant(16, 16)))
    assert code(b"") == code(data[132:]) == code(bytes(200)) == "dicom_no_prefix"
    assert code(data[:132]) == "dicom_meta"
    assert code(bytes(128) + b"DICM" + element(2, 2, b"UI", b"1.2 ")) == "dicom_meta"
    assert code(meta(EXPLICIT, element(2, 0x10, b"UI", b"1.2\0"))) == "dicom_meta"
    assert code(bytes(128) + b"DICM\x02\0\x10\0UI\xff\xff1.2") == "dicom_meta"


@pytest.mark.parametrize(
    "uid", ["1.2.3", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.55"]
)
def test_unknown_compression_and_video_are_refused(uid: str) -> None:
    assert code(meta(uid)) == "dicom_compression"


def test_lengths_that_run_past_their_parent_are_refused() -> None:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 400) + element(8, 0x60, b"CS", b"US")
    assert code(meta(EXPLICIT) + element(8, 0x1140, b"SQ", item)) == "dicom_truncated"
    assert code(meta(EXPLICIT) + element(8, 0x60, b"CS", b"US")[:-1]) == "dicom_truncated"


@pytest.mark.parametrize(
    "body",
    [
        element(8, 0x60, b"CS", b"US") * 2,
        element(8, 0x60, b"c\xff", b"US"),
        struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
        struct.pack("<HHI", 0xFFFE, 0xE000, 0),
        element(8, 0x1140, b"SQ", element(8, 0x60, b"CS", b"US")),
        element(0x7FE0, 0x10, b"OB", b"")[:-4] + b"\xff" * 4 + struct.pack("<HHI", 0xFFFE, 0xE000, 0),
    ],
    ids=["element twice", "no such VR", "delimiter of nothing", "item of nothing", "element for item", "fragments"],
)
def test_a_structure_that_cannot_be_is_refused(body: bytes) -> None:
    assert code(meta(EXPLICIT) + body) == "dicom_damaged"


def nested(depth: int, *, defined: bool, syntax: str = EXPLICIT) -> bytes:
    """Sequences in sequences, of defined or undefined length."""
    inner = b""
    if not defined:
        head = element(8, 0x1140, b"SQ", b"")[:-4] if syntax == EXPLICIT else struct.pack("<HH", 8, 0x1140)
        opened = head + b"\xff" * 4 + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        closed = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return meta(syntax) + opened * depth + closed * depth
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        head = element(8, 0x1140, b"SQ", b"")[:-4] if syntax == EXPLICIT else struct.pack("<HH", 8, 0x1140)
        inner = head + struct.pack("<I", len(item)) + item
    return meta(syntax) + inner


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("defined", [True, False])
def test_three_thousand_nested_sequences_are_refused(defined: bool, syntax: str) -> None:
    judge(nested(MOST_DEPTH, defined=defined, syntax=syntax), "x")
    assert code(nested(MOST_DEPTH + 1, defined=defined, syntax=syntax)) == "dicom_too_deep"
    assert code(nested(3000, defined=defined, syntax=syntax)) == "dicom_too_deep"


def test_unknown_values_of_undefined_length_hold_implicit_items() -> None:
    inner = struct.pack("<HHI", 8, 0x60, 2) + b"US"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    body = element(9, 0x1001, b"UN", b"")[:-4] + b"\xff" * 4 + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert judge(meta(EXPLICIT) + body, "x").syntax.uid == EXPLICIT


def bomb(size: int) -> bytes:
    """A deflated data set that inflates to ``size`` bytes."""
    machine = zlib.compressobj(9, wbits=-15)
    body = machine.compress(element(9, 0x1001, b"OB", b"")[:-4] + struct.pack("<I", size))
    for _ in range(size >> 20):
        body += machine.compress(bytes(1 << 20))
    return meta(DEFLATED) + body + machine.flush()


def test_deflate_bombs_and_damaged_deflate_are_refused() -> None:
    whole = file_of(ultrasound(meant(16, 16)), DEFLATED)
    assert code(bomb(MOST_BYTES + (1 << 20))) == "dicom_too_large"
    assert code(whole[:-20]) == "dicom_truncated"
    assert code(whole[:400] + b"\xff" * 40 + whole[440:]) in ("dicom_damaged", "dicom_truncated")


def test_too_many_elements_and_too_large_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MOST_ELEMENTS", 50)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    assert code(meta(EXPLICIT) + element(8, 0x1140, b"SQ", item * 60)) == "dicom_too_large"
    monkeypatch.setattr(guard, "MOST_BYTES", 100)
    assert code(meta(EXPLICIT)) == "dicom_too_large"


def test_padding_after_the_data_set_is_no_fault() -> None:
    assert judge(file_of(ultrasound(meant(16, 16))) + bytes(64), "x").syntax.uid == EXPLICIT


def test_the_class_is_read_from_the_first_bytes_alone() -> None:
    assert class_in_meta(file_of(ultrasound(meant(16, 16)))[:1024]) == ULTRASOUND
    assert class_in_meta(b"") == class_in_meta(bytes(1024)) == ""


@pytest.mark.parametrize("make", [lambda: bomb(700 << 20), lambda: nested(3000, defined=False)], ids=["bomb", "nested"])
def test_hostile_files_are_refused_in_little_memory(make: Callable[[], bytes], tmp_path: Path) -> None:
    """The peak of a process that reads the file and refuses it, with all that it imports."""
    path = tmp_path / "x.dcm"
    path.write_bytes(make())
    program = (
        "import re\nfrom edge_runtime.dicom.dataset import read_dataset\n"
        "from edge_runtime.errors import DicomError\n"
        f"try: read_dataset({str(path)!r})\nexcept DicomError as error: print(error.code)\n"
        "status = open('/proc/self/status').read()\n"  # ru_maxrss is that of the parent at the fork, if that is larger
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    found, peak = done.stdout.split()
    assert found in ("dicom_too_large", "dicom_too_deep")
    assert int(peak) < 512
