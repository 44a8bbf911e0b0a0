"""A conversion in a process of its own: results in files, failures as errors with what was last printed."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.converters.isolation import in_own_process
from export.errors import ConversionError


@pytest.fixture(autouse=True)
def _buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own default for streams that are no terminal, whatever this shell says."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def write(text: str, out: str) -> None:
    """A job that works, and chatters."""
    print("chatter on stdout")
    print("chatter on stderr", file=sys.stderr)
    os.write(1, b"chatter of a C++ library\n")
    Path(out).write_text(f"{text} from process {os.getpid()}", encoding="utf-8")


def fail(lines: int) -> None:
    for i in range(lines):
        print(f"line {i}")
    raise ValueError("no kernel for Erf")


def crash(how: str) -> None:
    """Die as a C++ library does: no exception, no flushing of Python's buffers."""
    print("converting dense_7")
    if how == "exit":
        os._exit(3)
    if how == "abort":
        os.abort()
    os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does when memory runs out


def leave() -> None:
    print("bye")
    sys.exit("the library gave up")


def test_the_result_stays_in_the_file_and_the_chatter_stays_out_of_ours(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    in_own_process(write, "hello", str(tmp_path / "out"))
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert text.startswith("hello from process ")
    assert text != f"hello from process {os.getpid()}"
    assert capfd.readouterr() == ("", "")


def test_an_exception_becomes_an_error_of_one_line_and_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConversionError) as caught:
        in_own_process(fail, 100)
    assert str(caught.value).endswith("test_isolation.fail failed: ValueError: no kernel for Erf")
    said = caught.value.log.splitlines()
    assert said[-1] == "ValueError: no kernel for Erf"
    assert any("raise ValueError" in line for line in said), said
    assert len(said) <= 40
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("exit", "its process died with exit status 3"),
        ("abort", "its process died of SIGABRT"),
        ("kill", "its process was killed, which the system does when memory runs out. Free memory and export again."),
    ],
)
def test_a_crash_is_an_error_that_says_how_it_died(how: str, says: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConversionError) as caught:
        in_own_process(crash, how)
    assert str(caught.value).endswith(f"test_isolation.crash failed: {says}")
    assert "converting dense_7" in caught.value.log
    assert capfd.readouterr() == ("", "")


def test_a_job_that_calls_exit_is_an_error_too() -> None:
    with pytest.raises(ConversionError, match="leave failed: its process died with exit status 1"):
        in_own_process(leave)


def test_a_failed_job_leaves_no_process_behind() -> None:
    with pytest.raises(ConversionError):
        in_own_process(crash, "exit")
    assert multiprocessing.active_children() == []


def wrote_modules(out: str) -> None:
    Path(out).write_text(f"{'tensorflow' in sys.modules} {os.getppid()}", encoding="ascii")


@pytest.mark.skipif(sys.platform != "linux", reason="conversions start a new interpreter elsewhere")
def test_a_conversion_is_forked_from_a_server_with_tensorflow_unless_it_must_be_fresh(tmp_path: Path) -> None:
    found = {}
    for fresh in (False, True, False):
        in_own_process(wrote_modules, str(tmp_path / "out"), fresh=fresh)
        found.setdefault(fresh, []).append((tmp_path / "out").read_text(encoding="ascii").split())
    (first, second), ((imported, parent),) = found[False], found[True]
    assert first == second, "two conversions had two servers"
    assert first[0] == "True" and first[1] != str(os.getpid())
    assert (imported, parent) == ("False", str(os.getpid()))


def wrote_tracked_objects(out: str) -> None:
    Path(out).write_text(f"{len(gc.get_objects())} {gc.get_freeze_count()}", encoding="ascii")


@pytest.mark.skipif(sys.platform != "linux", reason="conversions start a new interpreter elsewhere")
def test_a_full_collection_in_a_conversion_does_not_visit_what_the_server_imported(tmp_path: Path) -> None:
    """A conversion to ONNX makes 24 of them, and TensorFlow has a million objects."""
    in_own_process(wrote_tracked_objects, str(tmp_path / "out"))
    visited, frozen = map(int, (tmp_path / "out").read_text(encoding="ascii").split())
    assert frozen > 100_000 > visited, (visited, frozen)


def test_the_imports_begin_without_waiting_for_them_and_serve_the_next_conversion(tmp_path: Path) -> None:
    """In a process of its own: this one's server runs already."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom export.converters.isolation import begin_imports\n"
        "begin_imports()\nfrom multiprocessing import forkserver\n"
        "print(forkserver._forkserver._forkserver_pid, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    server, imported = done.stdout.split()
    assert (server != "None") is (sys.platform == "linux")
    assert imported == "False"


def test_many_conversions_in_a_row_end(tmp_path: Path) -> None:
    """A fork of a process with threads may hang; the server has none but OpenBLAS's."""
    for number in range(20):
        in_own_process(multiplied, str(tmp_path / "out"))
        assert float((tmp_path / "out").read_text(encoding="ascii")) == 512.0, number


def multiplied(out: str) -> None:
    import tensorflow as tf

    ones = np.ones((512, 512))
    assert float((ones @ ones)[0, 0]) == 512.0
    Path(out).write_text(str(float(tf.linalg.matmul(ones, ones)[0, 0])), encoding="ascii")
