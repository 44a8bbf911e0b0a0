"""A preview scales what grows with the images, names the scheme that will probably ship, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import export.preview
from edge_runtime.bundle.manifest import Attempt, Format
from export.cli import main
from export.converters.isolation import Usage
from export.preview import Preview, TimedLadder, Times
from export.quantisation.schemes import LADDER

MIB = 1 << 20


def _usage(job: str, seconds: float, image_seconds: float, peak: int = 1) -> Usage:
    return Usage(f"export.converters.{job}", seconds, peak * MIB, 32, image_seconds)


def test_only_the_part_that_grows_with_the_images_is_scaled() -> None:
    used = (_usage("to_tflite.write_float32", 5, 0), _usage("to_tflite.write_calibrated", 4, 1))
    times = Times(reading_s=1, inference_s=2, used=used, counts=((32, 320), (40, 200)))
    reading, inference = 1 * 520 / 72, 2 * 2 * 200 / 40
    assert times.export(0) == pytest.approx(reading + 5 + (4 + 9 * 1) + inference)


def test_schemes_that_were_not_tried_add_the_mean_time_of_those_that_were() -> None:
    used = (_usage("to_tflite.write_quantised", 2, 0), _usage("to_onnx.write_quantised", 4, 0))
    times = Times(0, 0, used, ((32, 32), (32, 32)))
    assert times.export(3) - times.export(0) == pytest.approx(3 * 3)


def test_each_format_gets_one_scheme_even_without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(export.preview.time, "monotonic", lambda: now[0])
    ladder = TimedLadder(now[0])
    assert list(ladder) == list(LADDER)
    now[0] = 1e6
    assert list(ladder) == [LADDER[0]]


def _preview(*attempts: Attempt) -> Preview:
    files = {f"model.float32.{form.value}": 1 for form in Format}
    return Preview(
        "net 1.0.0, contract 0", attempts, files, (32, 446), (40, 600), 130, 55, 1200 * 10**6, "Keras", 10**8
    )


def test_the_text_names_the_scheme_the_time_and_the_memory() -> None:
    name = {form: f"model.int8.{form.value}" for form in Format}
    passed = Attempt(name[Format.TFLITE], "int8, a", size_bytes=9000, images=40, flips=1, passed=True)
    failed = Attempt(name[Format.ONNX], "int8, b", size_bytes=9000, images=40, flips=9)
    text = _preview(passed, failed).text()
    assert "int8 TFLite   will probably ship as 'int8, a' (scheme 1 of 9): 1 of 40 decisions flip" in text
    assert "int8 ONNX     scheme 1 did not pass here; the export tries up to 9. model.int8.onnx, int8, b: 9 of" in text
    assert "about 2 min for the export with 446 calibration and 600 parity images" in text
    assert "memory        1.2 GB at most, in Keras" in text
    assert text.endswith("Nothing was written.")
    assert "will probably not ship: none of 9 schemes passed" in _preview(*[failed] * len(LADDER)).text()


def test_without_out_and_without_dry_run_the_command_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [str(tmp_path / "m.keras"), "--calibration", str(tmp_path)])
    assert done.exit_code == 2
    assert "Missing option '--out'" in done.stderr
