"""Instances that are sent while both sides are killed at random, and what has to be there at the end."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_runtime.dicom.own_results import COMPREHENSIVE_3D_SR, MANUFACTURER, SECONDARY_CAPTURE
from tests.dicom_sources import encoded, ultrasound
from tests.orthanc import Orthanc

COUNT = int(os.environ.get("EDGE_DICOM_KILLED", "30"))
"""Instances that are sent; 500 before a release."""

SETTLE_S = 120 + COUNT


def write_instances(folder: Path, count: int = COUNT) -> list[Path]:
    """Write drawn instances, ten in a study."""
    folder.mkdir()
    paths = [folder / f"{number:04}.dcm" for number in range(1, count + 1)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(encoded(ultrasound(number, (96, 128), study=1 + number // 10)))
    return paths


class Killer(threading.Thread):
    """Kills one of several processes at random times, and starts it again."""

    def __init__(self, sides: Sequence[tuple[str, Callable[[], None], Callable[[], None]]], seed: int) -> None:
        super().__init__(daemon=True)
        self._sides, self._random, self._ended = sides, random.Random(seed), threading.Event()
        self.kills: Counter[str] = Counter()
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Kill each side once in each round, in any order."""
        round_: list[tuple[str, Callable[[], None], Callable[[], None]]] = []
        try:
            while not self._ended.wait(self._random.uniform(0.3, 3.0)):
                round_ = round_ or self._random.sample(self._sides, len(self._sides))
                name, kill, start = round_.pop()
                kill()
                time.sleep(self._random.uniform(0.0, 0.5))
                start()
                self.kills[name] += 1
        except BaseException as error:
            self.fault = error

    def end(self, least: int = 4) -> None:
        """End after at least so many kills."""
        while sum(self.kills.values()) < least and self.is_alive():
            time.sleep(0.1)
        self._ended.set()
        self.join(120)
        if self.fault is not None:
            raise self.fault


def results(archive: Orthanc) -> Counter[tuple[str, str]]:
    """Return (SOP class, UID of the source) of each report and heatmap."""
    found: Counter[tuple[str, str]] = Counter()
    for tags in archive.tags():
        if tags.get("Manufacturer") != MANUFACTURER:
            continue
        if tags["SOPClassUID"] == COMPREHENSIVE_3D_SR:
            evidence = tags["CurrentRequestedProcedureEvidenceSequence"][0]["ReferencedSeriesSequence"][0]  # type: ignore[index]
            found[tags["SOPClassUID"], evidence["ReferencedSOPSequence"][0]["ReferencedSOPInstanceUID"]] += 1  # type: ignore[index]
        elif tags["SOPClassUID"] == SECONDARY_CAPTURE:
            found[tags["SOPClassUID"], tags["SourceImageSequence"][0]["ReferencedSOPInstanceUID"]] += 1  # type: ignore[index]
    return found


def await_count(archive: Orthanc, count: int, within_s: float = SETTLE_S) -> None:
    """Wait until the archive has that many instances."""
    end = time.monotonic() + within_s
    while (found := len(archive.get("/instances"))) < count:
        assert time.monotonic() < end, f"{found} of {count}"
        time.sleep(0.2)


def expected(count: int = COUNT) -> Counter[tuple[str, str]]:
    """Return one report and one heatmap for each instance."""
    uids = [str(ultrasound(number, (96, 128), study=1 + number // 10).SOPInstanceUID) for number in range(1, count + 1)]
    return Counter((sop_class, uid) for uid in uids for sop_class in (COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE))
