"""Files in all syntaxes, models that accept them, an empty Orthanc, and edge-serve on a Unix socket."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import Predictor
from tests.dicom_bundle import write_dicom_bundle
from tests.dicom_objects import BASELINE, LOSSLESS, MAMMOGRAM, can_write, file_of, image, meant, ultrasound
from tests.orthanc import Orthanc, orthanc
from tests.places import ROOT
from tests.serving import Served

PLUGIN = ROOT / "edge_runtime" / "dicom" / "orthanc_plugin.py"


@pytest.fixture(scope="session")
def dicom_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom_bundle(tmp_path_factory.mktemp("dicom"))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc") as running:
        yield running


@dataclass
class Service:
    """An edge-serve that may be killed and started again on the same socket."""

    folder: Path
    bundle: Path
    uds: Path
    starts: int = 0
    running: Served | None = None

    def start(self) -> None:
        self.starts += 1
        log = self.folder / f"serve{self.starts}.log"
        self.running = Served.start(log, str(self.bundle), "--uds", self.uds, OMP_NUM_THREADS="1").until_ready()

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()

    @property
    def log(self) -> str:
        return "".join(path.read_text("utf-8") for path in sorted(self.folder.glob("serve*.log")))


@pytest.fixture
def service(dicom_bundle: Path, tmp_path: Path) -> Iterator[Service]:
    short = Path(tempfile.mkdtemp(prefix="edge"))  # the path of a socket has at most 107 bytes
    found = Service(tmp_path / "serve", dicom_bundle, short / "s")
    try:
        found.start()
        yield found
    finally:
        if found.running is not None:
            found.running.kill()
        shutil.rmtree(short)


@pytest.fixture
def gateway(service: Service, tmp_path: Path) -> Iterator[Orthanc]:
    """Orthanc with the plugin, which finds edge-serve on its socket."""
    settings = {"PythonScript": str(PLUGIN), "EdgePredict": {"Url": f"unix:{service.uds}"}}
    with orthanc(tmp_path / "orthanc", **settings) as running:
        yield running


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small sound files: grey, colour and 12 bits in every syntax."""
    folder, shown = tmp_path_factory.mktemp("seeds"), meant(32, 40)
    for syntax in (each for each in (*LOSSLESS, BASELINE) if can_write(each)):
        (folder / f"grey-{syntax}").write_bytes(file_of(ultrasound(shown), syntax))
        (folder / f"colour-{syntax}").write_bytes(file_of(ultrasound(np.stack([shown] * 3, -1)), syntax))
        deep = image(shown.astype(np.uint16) * 16, MAMMOGRAM, BitsStored=12, WindowCenter=2040, WindowWidth=4081)
        if syntax != BASELINE:
            (folder / f"deep-{syntax}").write_bytes(file_of(deep, syntax))
    return folder


@pytest.fixture(scope="session")
def breast_us() -> Iterator[Predictor]:
    """The shipped model of whole ultrasound images, with the objects that its recipe accepts."""
    with Predictor.load("breast-us") as predictor:
        yield predictor
