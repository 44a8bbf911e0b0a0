"""Every engine gives the lines of the command, also after its workers and its driver were killed.

Ray and Dask are started for real, with two workers as processes.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.integration.archive.conftest import SECONDS, Site, finished_shards, skip_without_engine
from tests.unit.archive.rows import untimed

ENGINES = ["local", "ray", "dask"]
IMAGES, SHARD = 3000, 20
POISON = {"text.png": b"no image", "empty.png": b"", "header.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 40}


def plan(site: Site, model: object, sources: list[Path], size: int) -> tuple[Path, list[str]]:
    """Plan an archive; return its folder, and the lines that the command prints for its images."""
    status, lines, _ = site.call(*sources, "--json", "--model", model)
    assert status == 1
    archive = site.folder / "a"
    status, _, err = site.call("archive", "plan", *sources, "--out", archive, "--model", model, "--shard-size", size)
    assert status == 0, err
    return archive, untimed(lines)


def merged(site: Site, archive: Path) -> list[str]:
    status, lines, err = site.call("archive", "merge", archive)
    assert status == 1, err
    return untimed(lines)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_and_the_driver_are_killed_and_every_line_is_there_once(
    engine: str, site: Site, phantom_bundle: Path, many: Callable[[int], Path]
) -> None:
    archive, expected = plan(site, phantom_bundle, [many(IMAGES)], SHARD)
    kills(engine, site, archive, IMAGES // SHARD)
    assert merged(site, archive) == expected
    assert len(expected) == IMAGES


def kills(engine: str, site: Site, archive: Path, shards: int) -> None:
    """Run until a few shards are there; kill a worker, then the driver, then run to the end."""
    command = ("archive", "run", archive, "--engine", engine, "--workers", 2)
    driver = site.start(*command)
    site.wait_for_shards(archive, 3, driver)
    kill_a_worker(site)
    site.wait_for_shards(archive, finished_shards(archive) + 4, driver)
    driver.kill()
    driver.communicate()
    site.wait_until_quiet()
    assert finished_shards(archive) < shards, "nothing was left to do: the test proves nothing"
    status, _, err = site.call(*command)
    skip_without_engine(err)
    assert status == 1, err
    assert f"{shards} of {shards} shards finished" in err
    assert not list(archive.glob("shards/*/.*")), "temporary files are left"
    site.wait_until_quiet()


def kill_a_worker(site: Site) -> None:
    end = time.monotonic() + 60
    while not (workers := site.workers()) and time.monotonic() < end:
        time.sleep(0.01)  # Ray's workers have another title between two tasks
    assert workers, "no worker was found to kill"
    with contextlib.suppress(psutil.NoSuchProcess):
        workers[0].kill()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_is_killed_stops_no_run(
    engine: str, site: Site, phantom_bundle: Path, many: Callable[[int], Path]
) -> None:
    archive, expected = plan(site, phantom_bundle, [many(1500)], SHARD)
    driver = site.start("archive", "run", archive, "--engine", engine, "--workers", 2)
    site.wait_for_shards(archive, 3, driver)
    kill_a_worker(site)
    _, err = driver.communicate(timeout=SECONDS)
    skip_without_engine(err.decode())
    assert driver.returncode == 1, err.decode()
    assert merged(site, archive) == expected


def test_shards_run_one_by_one_in_any_order_by_any_scheduler(
    site: Site, phantom_bundle: Path, many: Callable[[int], Path]
) -> None:
    archive, expected = plan(site, phantom_bundle, [many(200)], SHARD)
    for shard in (7, 0, 7):
        assert site.call("archive", "run", archive, "--shard", shard)[0] == 0
    status, lines, _ = site.call("archive", "status", archive)
    assert status == 0
    assert "shards_done   2" in lines
    running = [site.start("archive", "run", archive, "--shard", n, "--stride", 2) for n in (0, 1, 1)]
    for process in running:
        process.communicate(timeout=120)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert merged(site, archive) == expected


def test_a_foreign_shard_stops_every_command_with_status_2(
    site: Site, phantom_bundle: Path, many: Callable[[int], Path]
) -> None:
    archive, _ = plan(site, phantom_bundle, [many(200)], SHARD)
    site.call("archive", "run", archive, "--shard", 3)
    folder = archive / "shards" / "0000"
    shutil.copy(folder / "000003.parquet", folder / "000005.parquet")
    for command in (("run", archive), ("run", archive, "--shard", 5), ("status", archive), ("merge", archive)):
        status, _, err = site.call("archive", *command)
        assert (status, "[archive_other_plan]" in err) == (2, True)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_published_patches_and_five_bad_ones_survive_the_kills(
    engine: str, site: Site, shared_idc: Path, tmp_path: Path
) -> None:
    poison = tmp_path / "poison"
    poison.mkdir()
    patch = next(path for path in sorted(shared_idc.rglob("*.png")) if path.stat().st_size > 5000).read_bytes()
    for name, content in {**POISON, "cut.png": patch[:3000], "bit.png": patch[:900] + b"\0" + patch[901:]}.items():
        (poison / name).write_bytes(content)
    archive, expected = plan(site, "idc-patch-compact", [shared_idc, poison], 100)
    assert len(expected) == 9161
    kills(engine, site, archive, 92)
    assert merged(site, archive) == expected
