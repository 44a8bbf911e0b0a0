"""Instances by C-STORE while receiver and archive are killed: each gives one report and one heatmap, none is lost."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.dicom_kills import COUNT, Killer, await_count, expected, results, write_instances
from tests.dicom_receiver import CALLER, Receiver, receiving
from tests.dicom_receiver import TITLE as RECEIVER
from tests.orthanc import TITLE, Orthanc, debian


def sent(receiver: Receiver, path: Path) -> bool:
    """Send a file with DCMTK's storescu, which ends with 0 if the association was as it should be."""
    command = [
        debian("storescu"),
        "-aet",
        CALLER,
        "-aec",
        RECEIVER,
        "-to",
        "5",
        "127.0.0.1",
        str(receiver.port),
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and not done.stderr


@pytest.mark.slow
def test_kills_of_either_side_lose_nothing_and_double_nothing(
    archive: Orthanc, dicom_bundle: Path, tmp_path: Path
) -> None:
    files = write_instances(tmp_path / "files")
    with receiving(tmp_path / "receiver", dicom_bundle, f"{TITLE}@127.0.0.1:{archive.dicom}") as receiver:
        sides = [("receiver", receiver.kill, receiver.start), ("archive", archive.kill, archive.start)]
        killer = Killer(sides, seed=1)
        killer.start()
        pauses = random.Random(2)
        for path in files:
            while not sent(receiver, path):  # as a modality does: again until it is acknowledged
                time.sleep(0.2)
            if pauses.random() < 0.1:  # and now and then although it was
                sent(receiver, path)
        killer.end()
        await_count(archive, 2 * COUNT)
        time.sleep(1)
        assert results(archive) == expected()
        assert receiver.stop() == 0
    print(f"{COUNT} instances, kills {dict(killer.kills)}")
    assert len(killer.kills) == 2
    left = [path for path in receiver.spool.rglob("*") if path.is_file() and path.name != "lock"]
    assert not left
