"""What the machine fails at is told as the machine's fault, wherever on an image's way it comes up."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import Failure, Predictor, Runtime
from edge_runtime.errors import ImageError, ImageNotFoundError, ImageUnreadableError, IntegrityError, MachineError
from edge_runtime.images.reader import read
from edge_runtime.platform.machine_faults import machine_error
from tests.places import ROOT
from tests.unit.bundle.shipped_bundle import NAME, image

PHANTOM = ROOT / "docs" / "phantom.png"
OF_THE_MACHINE = {
    errno.ENOMEM: "machine_memory",
    errno.EMFILE: "machine_descriptors",
    errno.ENFILE: "machine_descriptors",
    errno.ENOSPC: "machine_space",
    errno.EDQUOT: "machine_space",
    errno.EAGAIN: "machine_busy",
    errno.EINTR: "machine_busy",
    errno.EBUSY: "machine_busy",
    errno.EIO: "machine_io",
    errno.ESTALE: "machine_io",
    errno.ENODEV: "machine_io",
    errno.ENXIO: "machine_io",
    errno.ETIMEDOUT: "machine_io",
    errno.ENOTCONN: "machine_io",
    errno.EHOSTDOWN: "machine_io",
    errno.EUCLEAN: "machine_io",
    errno.EREMOTEIO: "machine_io",
}
OF_THE_PATH = {
    errno.ENOENT: "image_not_found",
    errno.ENOTDIR: "image_not_found",
    errno.ENAMETOOLONG: "image_not_found",
    errno.ELOOP: "image_not_found",
    errno.EACCES: "image_permission",
    errno.EPERM: "image_permission",
}


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor.load(NAME, backend=Runtime.LITERT) as loaded:
        yield loaded


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(image(tmp_path / "a.png"))


def error_of(predictor: Predictor, path: str) -> Any:
    (found,) = predictor.predict_all([path])
    assert isinstance(found, Failure), found
    assert found.of_machine == isinstance(found.error, MachineError) == (found.error.exit_code == 6)
    assert found.to_dict()["error"]["kind"] == ("machine" if found.of_machine else "image")  # type: ignore[index]
    return found.error


@pytest.mark.parametrize("where", ["stat", "open"])
@pytest.mark.parametrize("number", [*OF_THE_MACHINE, *OF_THE_PATH])
def test_what_the_system_says_of_a_file_has_the_code_of_whose_fault_it_is(
    where: str, number: int, predictor: Predictor, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(f"os.{where}", refuse)
    error = error_of(predictor, path)
    monkeypatch.undo()
    assert error.code == (OF_THE_MACHINE | OF_THE_PATH)[number]
    assert (path in error.message and os.strerror(number)[:5] in error.message) or error.code == "image_permission"


@pytest.mark.parametrize("raised", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_a_disk_that_fails_in_the_middle_of_a_file(
    raised: Exception, predictor: Predictor, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise raised

    monkeypatch.setattr("os.read", fail)
    error = error_of(predictor, path)
    monkeypatch.undo()
    assert error.code == ("machine_io" if isinstance(raised, OSError) else "machine_memory")


def opencv_error(code: int, text: str) -> Exception:
    error = cv2.error(text)
    error.code = code
    return error


FAULTS: dict[str, tuple[str, Exception, str]] = {
    "memory for the array": ("cv2.imdecode", opencv_error(-4, "Failed to allocate 9 bytes"), "machine_memory"),
    "NumPy's memory": ("edge_runtime.preprocessing.preprocessor.Preprocessor.levels", MemoryError(), "machine_memory"),
    "the interpreter's memory": (
        "edge_runtime.inference.engine.Engine.answer",
        RuntimeError("std::bad_alloc"),
        "machine_memory",
    ),
    "no descriptor for a module": (
        "edge_runtime.images.formats._inspector",
        ImportError("_x.so: cannot open shared object file: Too many open files"),
        "machine_descriptors",
    ),
    "no memory for a module": (
        "edge_runtime.images.formats._inspector",
        ImportError("libaom.so.3: failed to map segment from shared object"),
        "machine_memory",
    ),
    "no more threads": (
        "edge_runtime.inference.engine.Engine.answer",
        RuntimeError("can't start new thread"),
        "machine_busy",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_deeper_down(case: str, predictor: Predictor, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, raised, code = FAULTS[case]

    def fail(*_: object, **__: object) -> Any:
        raise raised

    monkeypatch.setattr(where, fail)
    assert error_of(predictor, path).code == code


def test_a_decoder_that_found_no_memory_is_told_from_one_that_found_damage(
    predictor: Predictor, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV returns nothing for both."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    assert error_of(predictor, path).code == "image_damaged"
    monkeypatch.setattr(
        "edge_runtime.images.formats.decoding.np.empty", lambda *_: (_ for _ in ()).throw(MemoryError())
    )
    assert error_of(predictor, path).code == "machine_memory"


@pytest.mark.parametrize("fails", ["memfd_create", "dup", "dup2"])
def test_no_descriptor_to_listen_to_a_decoder_with(
    fails: str, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), np.full((50, 50, 3), 200, np.uint8))

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    before = os.fstat(2)
    monkeypatch.setattr(os, fails, refuse)
    assert error_of(predictor, str(path)).code == "machine_descriptors"
    monkeypatch.undo()
    assert os.path.samestat(os.fstat(2), before), "standard error leads where it led"
    assert not isinstance(next(predictor.predict_all([str(path)])), Failure)


def test_the_float32_file_that_cannot_be_read_now_is_no_damaged_bundle() -> None:
    """It is opened at the first image near a threshold."""
    with Predictor.load(NAME, backend=Runtime.LITERT) as predictor:
        object.__setattr__(predictor._plan, "guard_band", 1.0)
        for number, kind in ((errno.EMFILE, MachineError), (errno.ENOENT, IntegrityError)):

            def refuse(*_: object, number: int = number) -> bytes:
                raise OSError(number, os.strerror(number))

            object.__setattr__(predictor._bundle, "read_file", refuse)
            with pytest.raises(kind):
                predictor.predict(PHANTOM)


def test_an_image_that_is_at_fault_stays_so(predictor: Predictor, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    (found,) = predictor.predict_all([str(bad)])
    assert isinstance(found, Failure) and isinstance(found.error, ImageUnreadableError)
    assert found.sha256 == hashlib.sha256(b"no image").hexdigest()
    assert pickle.loads(pickle.dumps(found.error)).sha256 == found.sha256
    gone = error_of(predictor, str(tmp_path / "out of memory.png"))
    assert isinstance(gone, ImageNotFoundError) and isinstance(gone, ImageError)
    assert machine_error(gone, "x") is None, "a name is no reason"


def test_a_real_want_of_descriptors_and_memory(tmp_path: Path) -> None:
    """A process whose limits are that low; every image is told by name, and the last one is answered."""
    code = """
import os, resource, sys
from edge_runtime import Failure, Predictor
with Predictor.load("idc-patch-compact") as predictor:
    predictor.predict(sys.argv[1])
    held, limit = [], resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limit[1]))
    while True:
        try:
            held.append(os.dup(0))
        except OSError:
            break
    print(*[answer.error.code for answer in predictor.predict_all([sys.argv[1], sys.argv[3]])])
    for descriptor in held:
        os.close(descriptor)
    now = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (now + (40 << 20), -1))
    print(*[answer.error.code for answer in predictor.predict_all([sys.argv[2]])])
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print(isinstance(next(predictor.predict_all([sys.argv[1]])), Failure))
"""
    small, large, jpeg = image(tmp_path / "a.png"), tmp_path / "large.png", tmp_path / "a.jpg"
    cv2.imwrite(str(large), np.zeros((4000, 5000, 3), np.uint8))
    cv2.imwrite(str(jpeg), np.full((50, 50, 3), 200, np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", code, small, large, jpeg], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["machine_descriptors", "machine_descriptors", "machine_memory", "False"], done.stderr


def test_reading_alone_tells_it_too(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.images.reader.decode", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MachineError):
        read(path)
