"""``--watch`` goes on after images that kill its process, and after other versions of its model are installed."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.assurance.audit.periods import AuditHistory
from edge_runtime.assurance.audit.verification import verify
from edge_runtime.bundle.bundle import SHIPPED, find
from edge_runtime.bundle.registry.install import install, rollback
from edge_runtime.bundle.signing.keys import write_key_pair
from edge_runtime.bundle.signing.sealing import sign_folder
from tests.integration.cli.watch_site import Site, images, lines
from tests.unit.bundle import shipped_bundle
from tests.unit.bundle.shipped_bundle import NAME, NEWER, VERSION

KILLED_BY_NAME = """
import os, signal
from edge_runtime.inference import pipeline
read = pipeline.read

def deadly(source, **options):
    if "deadly" in str(source):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(source, **options)

pipeline.read = deadly
"""


def test_an_image_that_kills_is_set_aside_by_name_and_the_next_ones_are_answered(site: Site) -> None:
    (deadly,) = site.bring(name="deadly.png")
    others = site.bring(3)
    for death in (1, 2):
        site.start(before=KILLED_BY_NAME)
        said = site.ended(-signal.SIGKILL)
        assert ("died while it processed this image" in said) == (death > 1)
    assert images(site.place) == others, "who killed once comes last"
    site.start(before=KILLED_BY_NAME)
    found = site.hold(4)
    late = site.bring(1)
    site.hold(5)
    site.end()
    assert (found[3]["image"], found[3]["error"]["code"]) == (deadly, "image_kills_process")
    assert images(site.place) == [*others, deadly, *late]
    site.start(before=KILLED_BY_NAME)
    time.sleep(0.7)
    site.end()
    assert len(images(site.place)) == 5, "it is not asked about again"
    site.start("--retry-failed")
    (*_, again) = site.hold(5)
    site.end()
    assert again["image"] == deadly and "decision" in again


def test_a_replaced_killer_is_another_image(site: Site) -> None:
    site.bring(name="deadly.png")
    for _ in range(2):
        site.start(before=KILLED_BY_NAME)
        site.ended(-signal.SIGKILL)
    (path,) = site.bring(name="deadly.png")
    site.start()
    (line,) = site.hold(1)
    site.end()
    assert line["image"] == path and "decision" in line


def test_kills_at_other_times_blame_no_image(site: Site) -> None:
    site.bring(2)
    for count in (2, 3, 4):
        site.start()
        site.hold(count)
        time.sleep(0.2)
        site.end(signal.SIGKILL)
        site.bring(1)
    site.start()
    found = site.hold(5)
    said = site.end()
    assert "died" not in said
    assert all("decision" in line for line in found)


def versions(root: Path) -> tuple[Path, Path]:
    return Path(SHIPPED, NAME), shipped_bundle.version(root / "new", NEWER)


def test_an_installed_and_a_rolled_back_model_are_taken_over_without_a_restart(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(site.store))
    old, new = versions(site.root)
    first = site.bring(2)
    process = site.start()
    site.hold(2)
    install(old)
    install(new)
    site.bring(2)
    site.hold(4)
    (site.folder / "bad.png").write_bytes(b"no image")
    assert site.hold(5)[-1]["bundle"] == find(new).digest, "failures name the model of the day, too"
    (site.folder / "bad.png").unlink()
    rollback(NAME)
    site.bring(1)
    site.hold(6)
    assert process.poll() is None
    install(new)
    site.end(signal.SIGKILL)
    site.start()
    site.bring(1)
    site.hold(7)
    time.sleep(0.2)
    said = site.end()
    found = [line for line in lines(site.place) if "error" not in line]
    digests = {folder: find(folder).digest for folder in (old, new)}
    assert [line["version"] for line in found] == [VERSION] * 2 + [NEWER] * 2 + [VERSION, NEWER]
    assert [line["bundle"] for line in found] == [digests[p] for p in (old, old, new, new, old, new)]
    assert images(site.place)[:2] == first and len(images(site.place)) == 7, "none is answered again"
    assert "is replaced by" not in said


def test_the_audit_log_says_which_version_answered_when(
    site: Site, monkeypatch: pytest.MonkeyPatch, edge_predict: Any
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(site.store))
    log, (_, new) = site.root / "audit.jsonl", versions(site.root)
    site.bring(2)
    site.start("--audit", str(log))
    site.hold(2)
    install(new)
    site.bring(1)
    (site.folder / "bad.png").write_bytes(b"no image")
    site.hold(4)
    site.end()
    history = AuditHistory()
    assert verify([log], take=history.take).holds
    old, late = history.periods
    assert (old.model.version, late.model.version, old.end) == (VERSION, NEWER, late.begin)
    assert (old.decisions.total(), late.decisions.total(), late.failures.total()) == (2, 1, 1)
    checked = edge_predict("check", site.place, "--audit", log)
    assert checked.exit_code == 0 and "4  of 4 lines are of a model that answered then" in checked.stdout


def test_a_model_that_cannot_be_used_is_told_once_and_the_old_one_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new version is not signed by the trusted key; installing it again with a signature mends that."""
    monkeypatch.setenv("EDGE_MODELS", str(site.store))
    public, private = site.root / "key.pub", site.root / "key"
    write_key_pair(private)
    old, new = versions(site.root)
    signed = Path(shutil.copytree(old, site.root / "old"))
    sign_folder(signed, private)
    install(signed, trusted_key=public)
    site.start("--trusted-key", str(public))
    site.bring(1)
    site.hold(1)
    install(new)
    site.bring(3)
    site.hold(4)
    time.sleep(0.3)
    assert {line["version"] for line in lines(site.place)} == {VERSION}
    sign_folder(new, private)
    rollback(NAME)
    install(new, trusted_key=public)
    site.bring(1)
    (*_, last) = site.hold(5)
    said = site.end()
    assert said.count("the new model cannot be used [signature_missing]: ") == 1, said
    assert last["version"] == NEWER
    assert said.count(f"is replaced by {NEWER}") == 1
