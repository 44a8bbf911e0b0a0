"""Orthanc with our plugin and edge-serve: each stored image gets one report and one heatmap, whoever is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.dicom import header
from tests.dicom_kills import COUNT, Killer, await_count, expected, results, write_instances
from tests.dicom_sources import encoded, ultrasound
from tests.orthanc import Orthanc, orthanc
from tests.places import ROOT
from tests.serving import Served, serving

PLUGIN = ROOT / "edge_runtime" / "dicom" / "orthanc_plugin.py"


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "edge.sock"


@pytest.fixture
def archive(tmp_path: Path, socket: Path) -> Iterator[Orthanc]:
    """Orthanc with the plugin, which finds edge-serve on a Unix socket."""
    settings = {"PythonScript": str(PLUGIN), "EdgePredict": {"Url": f"unix:{socket}"}}
    with orthanc(tmp_path / "orthanc", **settings) as running:
        yield running
