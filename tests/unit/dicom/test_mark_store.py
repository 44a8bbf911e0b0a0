"""Marks and images find each other in the spool, whichever comes first, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.mark_store import MarkStore
from edge_runtime.dicom.room import SpoolLimits
from edge_runtime.dicom.spool import Place, Spool
from tests.dicom_objects import ROOT, file_of, presentation_state, report

UID = f"{ROOT}.3"
CIRCLE = [50.0, 40.0, 53.0, 44.0]
HOUR = 3600.0


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", SpoolLimits(1 << 24, 0))


def received(spool: Spool, content: bytes) -> Path:
    spool.add([content], len(content))
    return spool.waiting()[-1]


@pytest.mark.parametrize("make", [presentation_state, report])
def test_an_image_that_waits_goes_on_when_its_mark_comes(make: object, spool: Spool) -> None:
    store = MarkStore(spool, HOUR)
    assert store.wait(received(spool, b"image"), UID)
    assert not spool.waiting() and len(spool.waiting(Place.UNMARKED)) == 1
    other = received(spool, file_of(make(CIRCLE, uid=f"{ROOT}.9")))  # type: ignore[operator]
    assert store.keep(other, read_dataset(other)) and not spool.waiting()
    mark = received(spool, file_of(make(CIRCLE)))  # type: ignore[operator]
    assert store.keep(mark, read_dataset(mark))
    assert [path.read_bytes() for path in spool.waiting()] == [b"image"]
    assert len(store.of(UID)) == 1 and not store.of("1.2.3")


def test_a_restart_keeps_marks_and_looks_at_every_image_again(spool: Spool, tmp_path: Path) -> None:
    store = MarkStore(spool, HOUR)
    mark = received(spool, file_of(presentation_state(CIRCLE)))
    assert store.keep(mark, read_dataset(mark))
    assert store.wait(received(spool, b"image"), f"{ROOT}.8")
    spool.close()
    later = Spool(tmp_path / "spool", SpoolLimits(1 << 24, 0))
    again = MarkStore(later, HOUR)
    assert len(again.of(UID)) == 1
    assert [path.read_bytes() for path in later.waiting()] == [b"image"]


def test_both_wait_for_a_stated_time_alone(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MarkStore(spool, HOUR)
    mark, image = received(spool, file_of(presentation_state(CIRCLE, uid=f"{ROOT}.9"))), received(spool, b"image")
    assert store.keep(mark, read_dataset(mark)) and store.wait(image, UID)
    assert store.expire() == 0 and not spool.waiting()
    monkeypatch.setattr(Spool, "age_s", lambda shelf, path: HOUR)
    assert store.expire() == 1
    (image,) = spool.waiting()
    assert not store.wait(image, UID)
    assert not spool.waiting(Place.MARKS) and not store.of(f"{ROOT}.9")


def test_a_mark_without_a_circle_is_dropped(spool: Spool) -> None:
    store = MarkStore(spool, HOUR)
    mark = received(spool, file_of(presentation_state(CIRCLE, kind="POLYLINE")))
    assert not store.keep(mark, read_dataset(mark))
    assert not spool.waiting() and not spool.waiting(Place.MARKS)
