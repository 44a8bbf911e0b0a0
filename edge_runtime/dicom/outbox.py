"""Results that no receiver has accepted: one folder for those of each instance, which appears when all are on disk."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_runtime.dicom.room import Room
from edge_runtime.platform.atomic_files import sync_content, sync_names

_TEMPORARY = ".part"


class Outbox:
    """The folder ``outgoing`` of a spool."""

    def __init__(self, folder: Path, room: Room) -> None:
        """Remove what an interrupted write left."""
        self._folder, self._room = folder, room
        for left in folder.glob(f"*{_TEMPORARY}"):
            shutil.rmtree(left)

    def __len__(self) -> int:
        """Return the number of instances with results."""
        return sum(1 for _ in self._folder.iterdir())

    def store(self, results: list[tuple[str, bytes]]) -> None:
        """Store the results of an instance: name of each one and the bytes of its file.

        Raises:
            OSError: the disk failed; nothing is stored.
        """
        name = _hashed("\n".join(each for each, _ in results))
        final, part = self._folder / name, self._folder / f"{name}{_TEMPORARY}"
        if final.exists():  # the same results are still to be sent
            return
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(mode=0o700)
            for each, content in results:
                path = part / f"{_hashed(each)}.dcm"
                path.write_bytes(content)
                sync_content(path)
            sync_names(part)
            part.rename(final)
            sync_names(self._folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        self._room.take(sum(len(content) for _, content in results))

    def results(self) -> Iterator[Path]:
        """Yield the files of results, those of one instance together, the oldest first."""
        folders = [each for each in self._folder.iterdir() if each.suffix != _TEMPORARY]
        for folder in sorted(folders, key=_age):
            with suppress(FileNotFoundError):
                yield from sorted(folder.iterdir())
                if not any(folder.iterdir()):  # a kill came before the empty folder was removed
                    folder.rmdir()

    def accepted(self, result: Path) -> None:
        """Remove a result that its receiver has accepted."""
        size = result.stat().st_size
        result.unlink()
        sync_names(result.parent)
        self._room.release(size)
        with suppress(OSError):  # there are further results of the instance
            result.parent.rmdir()


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _age(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
