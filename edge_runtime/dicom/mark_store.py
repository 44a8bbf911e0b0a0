"""Marks and the images that wait for them: which of two comes first does not matter, nor a kill between them.

A presentation state or report with a circle is kept in the folder ``marks`` of the spool, an image without a circle in
``unmarked``, both for a stated time after they came. They belong together by the SOP Instance UID that the circle
refers to. What is where decides; the index in memory is made from the folders at each start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.marks import instances_marked_by
from edge_runtime.dicom.pixels import NAME
from edge_runtime.dicom.spool import Place
from edge_runtime.errors import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset


class Shelf(Protocol):
    """Where marks and images lie: a spool, or a folder that is watched."""

    def waiting(self, place: Place) -> list[Path]:
        """Return what lies in a place."""

    def move(self, instance: Path, place: Place) -> Path:
        """Put an instance elsewhere, and return its new path."""

    def drop(self, instance: Path) -> None:
        """Remove an instance."""

    def age_s(self, instance: Path) -> float:
        """Return the time since an instance came, in seconds."""


class MarkStore:
    """Pairs marks and images on a shelf. One thread uses it."""

    def __init__(self, shelf: Shelf, wait_s: float) -> None:
        """Take over what an earlier process left: every image that waited is looked at again.

        Args:
            shelf: holds the instances.
            wait_s: longest time that an image waits for a mark, and that a mark is kept for images, in seconds.
        """
        self._shelf, self._wait_s = shelf, wait_s
        self._marks: dict[str, set[Path]] = defaultdict(set)
        self._waiting: dict[str, set[Path]] = defaultdict(set)
        for path in shelf.waiting(Place.UNMARKED):
            shelf.move(path, Place.INCOMING)
        for path in shelf.waiting(Place.MARKS):
            try:
                self._index(path, instances_marked_by(read_dataset(path, NAME), NAME))
            except ImageError:  # somebody changed the file
                shelf.move(path, Place.REFUSED)

    def keep(self, instance: Path, mark: Dataset) -> bool:
        """Keep a mark, and let the images go on that waited for it. Return False if it has no circle: it is dropped.

        Raises:
            DicomError: a value of the mark cannot be read.
            OSError: the disk failed. The instance is still there.
        """
        marked = instances_marked_by(mark, NAME)
        if not marked or self._is_over(instance):
            self._shelf.drop(instance)
            return False
        self._index(self._shelf.move(instance, Place.MARKS), marked)
        for uid in marked & self._waiting.keys():
            self._go_on(self._waiting.pop(uid))
        return True

    def of(self, uid: str) -> list[Dataset]:
        """Return the kept marks that refer to an image."""
        return [read_dataset(path, NAME) for path in sorted(self._marks.get(uid, ()))]

    def wait(self, instance: Path, uid: str) -> bool:
        """Let an image wait for a mark. Return False if it has waited for the longest time."""
        if self._is_over(instance):
            return False
        self._waiting[uid].add(self._shelf.move(instance, Place.UNMARKED))
        return True

    def expire(self) -> int:
        """Let the images go on that waited long enough, and drop the marks that were kept long enough.

        Returns:
            The number of dropped marks.
        """
        for uid, paths in list(self._waiting.items()):
            over = {path for path in paths if self._is_over(path)}
            self._go_on(over)
            _subtract(self._waiting, uid, over)
        dropped = {path for paths in self._marks.values() for path in paths if self._is_over(path)}
        for path in dropped:
            self._shelf.drop(path)
        for uid in list(self._marks) if dropped else ():
            _subtract(self._marks, uid, dropped)
        return len(dropped)

    def _index(self, mark: Path, marked: Iterable[str]) -> None:
        for uid in marked:
            self._marks[uid].add(mark)

    def _is_over(self, path: Path) -> bool:
        return self._shelf.age_s(path) >= self._wait_s

    def _go_on(self, images: Iterable[Path]) -> None:
        for path in images:
            self._shelf.move(path, Place.INCOMING)


def _subtract(index: dict[str, set[Path]], uid: str, paths: set[Path]) -> None:
    """Remove paths from an index, and the entry if nothing is left of it."""
    index[uid] -= paths
    if not index[uid]:
        del index[uid]
