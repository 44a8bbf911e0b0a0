"""A benchmark measures every file that a bundle holds, compares turns of the same round, and says how."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import click
import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner, Result

from edge_runtime.bundle.bundle import describe_files, find, write_manifest
from edge_runtime.bundle.manifest import Format, Precision, Role
from edge_runtime.bundle.policy import Head
from edge_runtime.images.reader import read
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Resize
from edge_runtime.serialisation.records import from_json
from export.benchmark import benchmark, timing
from export.benchmark.memory import peak_mb, read_peak_kib
from export.benchmark.report import Interval, Report, median_interval
from export.benchmark.subject import BenchmarkEngine, BenchmarkSubject
from export.benchmark.table import as_markdown, as_text
from export.benchmark.timing import Turn, order, settle
from export.cli.benchmark import benchmark as command
from export.converters import to_onnx, to_tflite
from export.errors import ConversionError, ExportError
from tests.integration.export.networks import SIDE, branches, convert
from tests.places import ROOT
from tests.system_4 import BUNDLE

FILES = {
    "model.float32.tflite": (Format.TFLITE, Precision.FLOAT32, to_tflite.write_float32),
    "model.float16.tflite": (Format.TFLITE, Precision.FLOAT16, to_tflite.write_float16),
    "model.float32.onnx": (Format.ONNX, Precision.FLOAT32, to_onnx.write_float32),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.keras, another.keras of the same shape, and the first one's bundle."""
    folder = tmp_path_factory.mktemp("benchmark")
    model = branches()
    model.save(folder / "model.keras")
    model.layers[-1].bias.assign([1.0, -1.0])
    model.save(folder / "another.keras")
    bundle = folder / "bundle"
    bundle.mkdir()
    for name, (_, _, write) in FILES.items():
        convert(write, folder / "model.keras", bundle / name)
    known = find(BUNDLE).manifest
    steps = tuple(replace(s, width_px=SIDE, height_px=SIDE) if isinstance(s, Resize) else s for s in known.spec.steps)
    spec = replace(known.spec, name="tiny", steps=steps, head=Head.SOFTMAX)
    entries = describe_files(bundle, [(name, Role.MODEL, *kind[:2]) for name, kind in FILES.items()])
    write_manifest(bundle, replace(known, spec=spec, contract=spec.contract, files=entries))
    return folder


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def report(made: Path) -> Report:
    """Two rounds with Keras, as the command prints them in JSON."""
    done = _run(made / "bundle", "--model", made / "model.keras", "--images", 2, "--rounds", 2, "--json")
    assert done.exit_code == 0, done.output
    return from_json(Report, done.stdout, "stdout")


def test_every_file_has_a_row_for_each_number_of_threads_and_keras_comes_first(report: Report) -> None:
    found = [(row.name, row.threads, row.file) for row in report.rows]
    assert found == [
        ("Keras predict", None, "model.keras"),
        ("Keras tf.function", None, "model.keras"),
        *(("TFLite float32", threads, "model.float32.tflite") for threads in (1, 2)),
        *(("TFLite float16", threads, "model.float16.tflite") for threads in (1, 2)),
        *(("ONNX float32", threads, "model.float32.onnx") for threads in (1, 2)),
    ]
    assert (report.images, report.rounds) == (2, 2)
    assert report.keras_threads is not None and report.keras_threads >= 1
    assert 0 <= report.idle_share <= timing.REST


def test_sizes_are_those_on_disk_and_the_reference_is_compared_with_itself(report: Report, made: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in (*(made / "bundle").iterdir(), made / "model.keras")}
    reference = sizes["model.float32.tflite"]
    for row in report.rows:
        assert (row.size_bytes, row.size_ratio) == (sizes[row.file], reference / sizes[row.file])
    assert report.rows[2].speed == Interval(1.0, None, None)


def test_memory_is_that_of_each_interpreter_alone(report: Report) -> None:
    """TensorFlow is in this very process, and must not be in theirs."""
    for row in report.rows:
        keras = row.engine in (BenchmarkEngine.KERAS_PREDICT, BenchmarkEngine.KERAS_FUNCTION)
        assert (row.import_mb > 300) is keras, row
        assert 10 < row.import_mb < row.peak_mb + 10, row


def test_both_tables_hold_the_same_cells_and_say_how_they_were_taken(report: Report) -> None:
    text, markdown = as_text(report), as_markdown(report)
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(report.rows)
    assert len({line.count("|") for line in lines}) == 1
    table = text.split("\n\n")[1].splitlines()
    assert [line.split() for line in table] == [
        line.replace("|", " ").split() for line in lines if not line.startswith("| ---")
    ]
    for said in ("2 rounds in turns, 2 drawn images", "own: TensorFlow's own threads", "% of a core at most"):
        assert said in text and said in markdown


def test_without_keras_nothing_is_said_of_it_and_stdout_is_the_table_alone(made: Path) -> None:
    done = _run(made / "bundle", "--images", 1, "--rounds", 1, "--markdown")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("- bundle    tiny 1.1.0, contract ")
    assert "Keras" not in done.stdout


def test_another_network_is_not_compared(made: Path) -> None:
    with pytest.raises(ExportError, match=r"another\.keras: found logits that differ from model\.float32\.tflite by"):
        benchmark.benchmark(find(made / "bundle"), made / "another.keras", images=2, rounds=1)


@pytest.mark.parametrize("options", [("--artifact", "a", "--model", "b"), ("--json", "--markdown"), ("--rounds", "0")])
def test_options_that_contradict_are_a_usage_error(made: Path, options: tuple[str, ...]) -> None:
    assert _run(made / "bundle", *options).exit_code == click.UsageError.exit_code


def test_the_drawn_images_go_through_the_specs_own_steps() -> None:
    spec = find(BUNDLE).manifest.spec
    found = benchmark.noise(spec, 3)
    drawn = np.random.Generator(np.random.PCG64(benchmark.SEED)).integers(0, 256, (3, 50, 50, 3), dtype=np.uint8)
    expected = [preprocess(read(np.ascontiguousarray(pixels[..., ::-1])), spec.steps) for pixels in drawn]  # as RGB
    np.testing.assert_array_equal(found, np.stack(expected))


@pytest.mark.parametrize("count", [6, 7, 20, 30, 31, 100])
def test_the_interval_of_a_median_is_that_of_scipys_quantile_test(count: int) -> None:
    values = np.random.default_rng(count).lognormal(size=count)
    found = median_interval(values.tolist())
    expected = scipy.stats.quantile_test(values, q=0.0, p=0.5).confidence_interval(0.95)
    assert found.median == np.median(values)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_under_six_values_have_no_interval() -> None:
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0]) == Interval(3.0, None, None)


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_each_round_runs_every_row_once_and_every_row_comes_first_and_last_as_often(rows: int) -> None:
    orders = [order(rows, number) for number in range(2 * rows)]
    assert all(sorted(found) == list(range(rows)) for found in orders)
    for place in (0, -1):
        assert sorted(found[place] for found in orders) == sorted([*range(rows)] * 2)


def test_a_ratio_is_the_median_of_ratios_of_the_same_round() -> None:
    """Rounds of a loaded machine: the ratio of medians would be 1, the rows differ by half in each round."""
    one = BenchmarkSubject(
        "TFLite float32", BenchmarkEngine.LITERT, "a", Path("a"), 1, 400, Format.TFLITE, Precision.FLOAT32
    )
    other = replace(one, file="b", size_bytes=100, precision=Precision.INT8)
    slow = [Turn(wall, wall, 0.0) for wall in (2.0, 8.0, 4.0, 2.0, 8.0, 6.0)]
    fast = [replace(turn, wall_ms=turn.wall_ms / 2) for turn in slow]
    rows = benchmark.rows([one, other], [slow, fast], [(50.0, 40.0), (45.0, 40.0)])
    assert [row.speed for row in rows] == [Interval(1.0, 1.0, 1.0), Interval(2.0, 2.0, 2.0)]
    assert [row.size_ratio for row in rows] == [1.0, 4.0]
    alone = benchmark.rows([other], [fast], [(45.0, 40.0)])[0]
    assert (alone.speed, alone.size_ratio) == (None, None)


@pytest.fixture
def restless() -> Iterator[None]:
    """A thread of this process that never rests."""
    ended = Event()
    thread = Thread(target=lambda: [None for _ in iter(ended.is_set, True)])
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.usefixtures("restless")
def test_a_process_whose_threads_do_not_rest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PATIENCE_S", 0.1)
    monkeypatch.setattr(timing, "REST", 0.01)  # on a loaded machine the thread may get a small share
    with pytest.raises(ExportError, match="they would slow the next row"):
        settle()


def test_a_peak_is_read_from_the_kernels_own_counter(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmPeak:\t 9 kB\nVmHWM:\t  12345 kB\nVmRSS:\t 7 kB\n", encoding="ascii")
    assert read_peak_kib(tmp_path / "status") == 12345
    with pytest.raises(ExportError, match="found no VmHWM, expected the peak memory"):
        read_peak_kib(tmp_path / "absent")


def test_a_file_that_does_not_open_is_an_error_and_no_figure(tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    broken = BenchmarkSubject("TFLite int8", BenchmarkEngine.LITERT, "broken.tflite", tmp_path / "broken.tflite", 1, 8)
    with pytest.raises(ConversionError, match="litert rejects this model"):
        peak_mb(BenchmarkEngine.LITERT, broken, np.zeros((1, 4, 4, 3), np.float32), tmp_path)


def test_times_are_of_images_not_of_the_pause_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that ticks once a reading: each image takes one tick, whatever happened in between."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    tensors = np.zeros((3, 2, 2, 1), np.float32)
    turns = timing.take_turns([lambda tensor: tensor[:, 0, 0]] * 2, tensors, 4, lambda: None)
    assert [[(turn.wall_ms, turn.cpu_ms) for turn in row] for row in turns] == [[(1e3, 0.0)] * 4] * 2


def test_the_documented_command_and_columns_are_those_printed(report: Report) -> None:
    text = (ROOT / "docs" / "research" / "benchmark.md").read_text(encoding="utf-8")
    header = as_text(report).split("\n\n")[1].splitlines()[0].split()
    assert header in [line.split() for line in text.splitlines()]
    options = json.loads(json.dumps(sorted(o for p in command.params for o in p.opts if o.startswith("--"))))
    assert [option for option in options if option not in text] == []
