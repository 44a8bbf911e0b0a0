"""One image on the command line starts nothing that it does not need."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

NEEDLESS = {
    # other programs' work: network, processes, tests, packages, databases
    *("http", "ssl", "socket", "email", "unittest", "multiprocessing", "asyncio", "xml", "sqlite3", "ctypes.util"),
    *("importlib.metadata", "pkg_resources", "pydoc", "tempfile", "zipfile", "concurrent.futures", "logging"),
    *("pathlib", "urllib.parse", "ipaddress", "locale"),  # 2 ms for paths, and 1 ms for click's translations
    *("hashlib", "_hashlib"),  # OpenSSL: 2 ms and 4 MB
    # parts of numpy that nothing here uses
    *("numpy.testing", "numpy.random", "numpy.fft", "numpy.polynomial", "numpy.f2py"),
    # interpreters and training frameworks that did not answer
    *("onnxruntime", "tflite_runtime", "tensorflow", "keras", "cryptography"),
    # our own: what slides, batches, other formats and other commands need
    *("edge_runtime.inference.ordered_map", "edge_runtime.tiling", "edge_runtime.results", "csv"),
    *(
        "edge_runtime.images.discovery",
        "edge_runtime.images.entries",
        "edge_runtime.images.content",
        "edge_runtime.images.left_out",
    ),
    *("edge_runtime.bundle.manifest", "edge_runtime.bundle.metrics"),  # what was measured about the model
    *(
        "edge_runtime.explain.class_activation",
        "edge_runtime.explain.explainer",
        "edge_runtime.explain.explanation",
        "edge_runtime.explain.drawing",
        "edge_runtime.explain.overlay",
    ),
    *(
        "edge_runtime.preprocessing.bilinear",
        "edge_runtime.inference.backends.onnxruntime",
        "edge_runtime.bundle.signing.keys",
        "edge_runtime.bundle.embedded",
        "edge_runtime.cli.tiles",
    ),
    *("edge_runtime.images.formats.jpeg", "edge_runtime.images.formats.tiff", "edge_runtime.images.formats.webp"),
    *("edge_runtime.images.formats.foreign", "edge_runtime.images.formats.transparency"),
    "edge_runtime.images.formats.directory",
}
WITH_INTERPRETER = """
import json, sys
from ai_edge_litert.interpreter import Interpreter
import click, cv2, numpy
print(json.dumps(sorted(sys.modules)))
"""
PLAIN_RUN = """
import json, sys
from edge_runtime.cli.predict import main
main([sys.argv[1], "--backend", "litert"], standalone_mode=False)
print(json.dumps(sorted(sys.modules)))
"""
COMPILED_RUN = """
import dataclasses, json, sys
make, made = dataclasses._process_class, []
def noted(cls, init, *options):
    made.extend([f"{cls.__module__}.{cls.__qualname__}"] if init else [])
    return make(cls, init, *options)
dataclasses._process_class = noted
from edge_runtime.cli.predict import main
main([sys.argv[1], "--backend", "litert"], standalone_mode=False)
print(json.dumps([name for name in made if name.startswith("edge_runtime")]))
"""
FROZEN_RUN = """
import atexit, gc, sys
from edge_runtime.cli.start import run
before = len(gc.get_objects())
sys.argv[2:] = ["--backend", "litert"]
atexit.register(lambda: print(before, gc.get_freeze_count()))
run()
"""
MOST_MB = 14
"""Most memory above that of the imported packages, MB of 10^6 bytes: this package, the model, and the interpreter's.
A minimal script needs 8, and with OpenSSL a run would need 16."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "pale.png"
    cv2.imwrite(str(path), np.full((50, 50, 3), 243, np.uint8))
    return path


def modules(code: str, *arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_plain_run_imports_nothing_needless(image: Path) -> None:
    """What click, numpy, cv2 and the interpreter import by themselves cannot be helped here."""
    unavoidable = modules(WITH_INTERPRETER)
    modules(PLAIN_RUN, str(image))  # the first start on a processor replays known answers, for which more is imported
    found = modules(PLAIN_RUN, str(image))
    assert "edge_runtime.inference.backends.litert" in found
    assert not (found - unavoidable) & NEEDLESS
    ours = (name for name in NEEDLESS if name.startswith("edge_runtime."))
    assert all(importlib.util.find_spec(name) for name in ours), (
        "a module that was moved is forbidden under its old name"
    )


def test_a_model_that_accepts_dicom_imports_nothing_of_it_for_another_image(tmp_path: Path) -> None:
    image, code = tmp_path / "grey.png", PLAIN_RUN.replace('"litert"]', '"litert", "--model", "breast-us"]')
    cv2.imwrite(str(image), np.tile(np.arange(256, dtype=np.uint8), (256, 1)))
    modules(code, str(image))  # as above
    found = modules(code, str(image)) - modules(WITH_INTERPRETER)
    assert not [name for name in found if name.startswith("edge_runtime.dicom.")] and not found & NEEDLESS


def test_a_plain_run_compiles_no_dataclass(image: Path) -> None:
    """Each takes 0.4 ms: classes that every start defines have the decorator of ``serialisation/frozen.py``."""
    modules(PLAIN_RUN, str(image))  # as above
    assert not modules(COMPILED_RUN, str(image))


def test_no_collection_looks_at_what_starting_made(image: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FROZEN_RUN, str(image)], capture_output=True, text=True, check=True)
    before, frozen = map(int, done.stdout.splitlines()[-1].split())
    assert frozen > 0.9 * before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_plain_run_stays_below_its_memory(image: Path) -> None:
    modules(PLAIN_RUN, str(image))  # as above
    of_packages, of_run = peak_mb(WITH_INTERPRETER), peak_mb(PLAIN_RUN, str(image))
    print(f"{of_packages:.1f} MB with the packages imported, {of_run:.1f} MB after an image")
    assert of_run - of_packages < MOST_MB


def peak_mb(code: str, *arguments: str) -> float:
    """The peak since the program began (VmHWM): getrusage counts what the parent held, too."""
    code = code.replace("json.dumps(sorted(sys.modules))", 'open("/proc/self/status").read()')
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    return int(peak) * 1024 / 1e6
