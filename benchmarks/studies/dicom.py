"""What the largest DICOM frames take in an archive, and what damaged frames go unseen.

    python -m benchmarks dicom-memory [--rows 5700 --columns 5800]
    python -m benchmarks dicom-bits FILE... [--flips 500]

``dicom-memory`` starts Debian's Orthanc with the plugin, and ``edge-serve`` with ``breast-us``. It stores one frame of
12 bits in each syntax, waits for the report, and prints the largest resident sizes of Orthanc, of edge-serve and of the
decoder, all of one run.

``dicom-bits`` changes one bit at random places of the compressed data of the first frame of each file, and counts what
became of it. With ``--model``, it also counts changed decisions.
"""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
from pydicom.encaps import encapsulate, get_frame

from benchmarks.memory import peak_mb
from edge_runtime import Predictor
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.decoding import frame_of
from edge_runtime.dicom.layout import PixelLayout, layout_of
from edge_runtime.errors import EdgeError
from tests.dicom_objects import EXPLICIT, HTJ2K_LOSSLESS, JPEG_2000, file_of, ultrasound
from tests.orthanc import Orthanc, orthanc
from tests.places import ROOT
from tests.serving import Served

PLUGIN = ROOT / "edge_runtime" / "dicom" / "orthanc_plugin.py"
SYNTAXES = {"uncompressed": EXPLICIT, "JPEG 2000": JPEG_2000, "High-Throughput JPEG 2000": HTJ2K_LOSSLESS}
_DATA_2000, _SCAN = b"\xff\x93", b"\xff\xda"
LONGEST_S = 600


def frame(rows: int, columns: int, syntax: str) -> bytes:
    """Return an ultrasound frame of 12 bits, smooth with noise."""
    y, x = np.mgrid[:rows, :columns]
    noise = np.random.default_rng(0).normal(0, 8, (rows, columns))
    values = (2000 + 1500 * np.sin(x / 300) * np.cos(y / 400) + noise).clip(0, 4095).astype(np.uint16)
    return file_of(ultrasound(values, BitsStored=12, WindowCenter=2048, WindowWidth=4096), syntax)


def stored(archive: Orthanc, service: Served, content: bytes) -> dict[str, float]:
    """Store a frame, wait for its report, and return the peaks in MB."""
    serving, decoder = psutil.Process(service.process.pid), 0.0
    archive.post("/instances", content)
    end = time.monotonic() + LONGEST_S
    while not archive.tags("SR"):
        if time.monotonic() > end:
            raise click.ClickException(f"no report within {LONGEST_S} s: {service.log.read_text('utf-8')[-500:]}")
        for child in serving.children():
            decoder = max(decoder, peak_mb(child.pid))
        time.sleep(0.02)
    assert archive.process is not None
    return {"Orthanc": peak_mb(archive.process.pid), "edge-serve": peak_mb(serving.pid), "decoder": decoder}


@click.command()
@click.option("--rows", type=click.IntRange(16), default=5700, show_default=True)
@click.option("--columns", type=click.IntRange(16), default=5800, show_default=True)
def dicom_memory(rows: int, columns: int) -> None:
    """Print the largest resident sizes of Orthanc, edge-serve and its decoder for one frame."""
    print("| frame | file, MB | Orthanc, MB | edge-serve, MB | decoder, MB |\n|---|---|---|---|---|")
    for name, syntax in SYNTAXES.items():
        content = frame(rows, columns, syntax)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            socket = folder / "s"
            service = Served.start(folder / "serve.log", "breast-us", "--uds", socket, OMP_NUM_THREADS="1")
            try:
                settings = {"PythonScript": str(PLUGIN), "EdgePredict": {"Url": f"unix:{socket}"}}
                with orthanc(folder / "orthanc", **settings) as archive:
                    peaks = stored(archive, service.until_ready(), content)
            finally:
                service.kill()
        shown = " | ".join(f"{value:.0f}" for value in peaks.values())
        print(f"| {columns} x {rows}, {name} | {len(content) / 1e6:.0f} | {shown} |", flush=True)


def outcomes(path: Path, flips: int, predict: Callable[[Any], str] | None) -> tuple[Counter[str], float]:
    """Return what became of each changed bit, and the median share of pixels that a silent change altered."""
    dataset = read_dataset(path)
    layout = layout_of(dataset, path.name)
    encoded = get_frame(dataset.PixelData, 0, number_of_frames=layout.frames)
    sound, _ = frame_of(dataset, layout, 0, path.name)
    decision = None if predict is None else predict(dataset)
    start, chance = _start_of_data(encoded), random.Random(0)
    found, shares = Counter[str](), []
    for _ in range(flips):
        changed = bytearray(encoded)
        changed[chance.randrange(start, len(encoded) - 2)] ^= 1 << chance.randrange(8)
        dataset.PixelData = encapsulate([bytes(changed), *_others(dataset, layout)])
        try:
            pixels, _ = frame_of(dataset, layout, 0, path.name)
        except EdgeError:
            found["refused"] += 1
            continue
        altered = float((pixels != sound).mean())
        found["changed" if altered else "same pixels"] += 1
        if altered:
            shares.append(altered)
        if altered and predict is not None:
            found["other decision"] += predict(dataset) != decision
    return found, float(np.median(shares)) if shares else 0.0


def _start_of_data(encoded: bytes) -> int:
    """Return where the coefficients begin, after SOD (T.800 A.4.3) or the scan's header (T.81 B.2.3)."""
    if encoded.startswith(b"\xff\x4f"):
        return encoded.index(_DATA_2000) + 2
    scan = encoded.index(_SCAN)
    return scan + 2 + int.from_bytes(encoded[scan + 2 : scan + 4], "big")


def _others(dataset: Any, layout: PixelLayout) -> list[bytes]:
    return [get_frame(dataset.PixelData, each, number_of_frames=layout.frames) for each in range(1, layout.frames)]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--flips", type=click.IntRange(1), default=500, show_default=True)
@click.option("--model", help="Also predict each changed frame with this model.")
def dicom_bits(files: tuple[Path, ...], flips: int, model: str | None) -> None:
    """Change one bit of compressed frames; count what is refused, harmless and silently changed."""
    with contextlib.ExitStack() as stack:
        predict = None
        if model is not None:
            predictor = stack.enter_context(Predictor.load(model))

            def predict(dataset: Any) -> str:
                try:
                    return predictor.predict(dataset).verdict.decision.value
                except EdgeError as error:
                    return error.code

        for path in files:
            found, share = outcomes(path, flips, predict)
            print(json.dumps({"file": path.name, "flips": flips, **found, "median share of pixels": round(share, 4)}))
