"""The committed bundle of the unit tests is what ``export`` writes today."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Manifest
from tests.phantom_bundle import COMMITTED

REMEDY = "export changed: run python -m tests.phantom_bundle"


def _shape(manifest: Manifest) -> dict[str, object]:
    """What does not depend on the processor that fitted the network."""
    return {
        "spec": manifest.spec,
        "contract": manifest.contract,
        "files": [(entry.name, entry.role, entry.format, entry.precision) for entry in manifest.files],
        "parity": [(row.file, row.runtime, row.images) for row in manifest.parity],
        "toolchain": sorted(manifest.toolchain),
        "maps": [(row.file, row.runtime) for row in manifest.map_parity or ()],
    }


def test_the_committed_bundle_is_what_export_writes_today(exported_bundle: Path) -> None:
    committed, today = find(COMMITTED), find(exported_bundle)
    assert committed.verify() == len(committed.manifest.files)
    assert _shape(committed.manifest) == _shape(today.manifest), REMEDY
