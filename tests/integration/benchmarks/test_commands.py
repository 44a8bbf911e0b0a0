"""Every benchmark runs to its end on tiny input: what it prints is complete, and nothing is timed by a test."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pyperf
import pytest
from click.testing import CliRunner, Result

from benchmarks import environments, networks
from benchmarks.cases import one_image
from benchmarks.cases.cold_start import CODE
from benchmarks.cli import _COMMANDS, main
from benchmarks.contestant import Command, NoFiguresError
from benchmarks.report import HEADLINE
from benchmarks.studies.archive_cost import ImageCost, Spent
from benchmarks.studies.archive_tasks import timed, times_in
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from tests.places import ROOT

CASES = {
    *("`predict(array)`", "`predict(path)`", "Cold command", "A slide of 4 tiles", "Heatmap"),
    *("A folder of 4 images", "A request to `edge-serve`"),
}


def run(*arguments: object) -> Result:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    return done


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the command prints for the default model, and its file for pyperf, where no peer is installed."""
    out = tmp_path_factory.mktemp("table") / "results.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environments, "FOLDER", out.parent / "none")
        patch.setattr(one_image, "KERAS", out.parent / "none")  # TensorFlow takes longer to start than all others
        return run("table", "--tiny", "--model", DEFAULT_MODEL, "--out", out).stdout, out


def test_every_case_has_a_table_with_figures(table: tuple[str, Path]) -> None:
    found = re.findall(r"^#### (.+)$", table[0], re.MULTILINE)
    assert set(found) == {f"{case}, `{DEFAULT_MODEL}`" for case in CASES} | {"`--watch` over 20 files"}
    rows = [line for line in table[0].splitlines() if line.startswith("| ") and line.count("|") == 7]
    assert len(rows) > 2 * len(found)
    figures = [re.fullmatch(r"\| .+ \| [\d.]+ \| [\d.e+]+ \| [\d.]+ \| [\d.e+]+ \| \d+ \|", row) for row in rows]
    assert [row for row, figure in zip(rows, figures, strict=True) if figure is None] == [
        "| | processor time, ratio | ms | wall time, ratio | ms | peak MB |"
    ] * len(found)


def test_the_headline_has_the_default_model_and_a_figure_for_each_of_its_cases(table: tuple[str, Path]) -> None:
    first, _, line = table[0].splitlines()[:3]
    assert all(case in first for case in HEADLINE)
    assert re.fullmatch(rf"\| `{DEFAULT_MODEL}` \| [\d.]+ \| [\d.]+ \| [\d.]+ \|", line)


def test_a_peer_that_is_not_installed_is_named_with_the_command_that_installs_it(table: tuple[str, Path]) -> None:
    skipped = re.findall(
        r"not measured: (.+?): not installed; run python -m benchmarks peers --install (\S+)\.", table[0]
    )
    assert [name for _, name in skipped] == [each.name for each in environments.ENVIRONMENTS]
    assert "not measured: Keras, float32: model.keras of this network is not in the checkout." in table[0]


def test_peers_in_this_environment_answer_as_the_loop_does(table: tuple[str, Path]) -> None:
    assert "the loop's label on" not in table[0]


def test_the_file_is_pyperfs_and_does_not_name_the_machine(table: tuple[str, Path]) -> None:
    suite = pyperf.BenchmarkSuite.load(str(table[1]))
    assert f"predict(array) / {DEFAULT_MODEL} / edge-predict, LiteRT" in suite.get_benchmark_names()
    assert "hostname" not in table[1].read_text(encoding="utf-8")


def test_a_commit_is_compared_with_this_checkout_and_its_worktree_is_gone() -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, cwd=ROOT, check=False).returncode != 0:
        pytest.skip("not a git checkout")
    said = run("check", "HEAD", "--tiny", "--model", DEFAULT_MODEL).stdout.splitlines()
    cases = [line for line in said if line.startswith(DEFAULT_MODEL)]
    assert len(cases) == 4 and all(line.endswith("no change seen") for line in cases)  # one round has no interval
    assert said[-1] == "0 of 4 cases moved beyond their intervals"
    worktrees = subprocess.run(["git", "worktree", "list"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert "/benchmarks-" not in worktrees


def test_an_unknown_commit_is_an_error_that_names_it() -> None:
    done = CliRunner().invoke(main, ["check", "no-such-commit", "--tiny", "--model", DEFAULT_MODEL])
    assert done.exit_code == 1
    assert "no-such-commit" in done.output


def test_the_kernels_of_int8_are_compared_and_so_are_their_decisions() -> None:
    folder = ROOT / "calibration_data" / "phantom-patch"
    said = run("int8-kernels", "--tiny", "--model", DEFAULT_MODEL, "--images", f"{DEFAULT_MODEL}={folder}").stdout
    assert said.count("int8, ") >= 2 * 3
    assert re.search(r"- float32: 0 of \d\d+ decisions differ, 0 beyond the guard band, mean \|Δ logit\| 0\.0000", said)


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_help(command: str) -> None:
    assert run(command, "--help").stdout.startswith("Usage: ")


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = "import sys\nfrom benchmarks.cli import main\nmain(['--help'], standalone_mode=False)\n"
    code += "assert not {'numpy', 'benchmarks.turns', 'export'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


@pytest.mark.slow
def test_every_network_that_ships_is_measured() -> None:
    said = run("table", "--tiny").stdout
    for name in networks.names():
        for case in ("`predict(array)`", "`predict(path)`", "Cold command"):
            assert f"#### {case}, `{name}`" in said


def in_a_process(*arguments: object) -> str:
    """Run a command that waits for all processes below it; return what it prints."""
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cost_of_an_archive_is_a_ratio_to_the_command(phantom_patches: list[Path], tmp_path: Path) -> None:
    for number, path in enumerate(phantom_patches[:12]):
        (tmp_path / f"{number}.png").write_bytes(path.read_bytes())
    sizes = ("--small", 8, "--large", 12, "--shard-size", 1)
    shown = in_a_process("archive-cost", "--folder", tmp_path, "--engine", "local", "--rounds", 1, *sizes)
    assert re.search(r"^one shard, one process: [\d.]+ \(.*\) x JSON lines$", shown, re.MULTILINE)
    (base,) = re.findall(r"^edge-predict +(-?[\d.]+) .* +([\d.]+) \(1.00 to 1.00\)$", shown, re.MULTILINE)
    assert base[1] == "1.00"
    assert re.search(r"^local +[\d.]+ s +-?[\d.]+ ms +-?[\d.]+ ms$", shown, re.MULTILINE), "the engine alone"
    for row in ("local", "  task", "  engine"):
        assert re.search(rf"^{row} +-?[\d.]+ \(.*\) +-?[\d.]+ \(.*\)$", shown, re.MULTILINE), row
    refused = CliRunner().invoke(main, ["archive-cost", "--folder", str(tmp_path), "--small", "8", "--large", "12"])
    assert refused.exit_code == 2 and "each of 2 workers needs 3 shards" in refused.output


def spin(seconds: float, _item: int) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_the_time_of_a_task_is_told_apart_from_that_of_other_threads(tmp_path: Path) -> None:
    beside = threading.Thread(target=spin, args=(0.3, 0))

    def task(item: int) -> None:
        beside.start()
        spin(0.1, item)
        beside.join()

    timed(str(tmp_path), task, 4)
    timed(str(tmp_path), partial(spin, 0.1), 5)
    first, later = sorted(times_in(tmp_path), key=lambda each: each.item)
    assert [(each.item, each.first) for each in (first, later)] == [(4, True), (5, False)]
    assert 0.1 <= first.task_s < 0.2 and first.beside_s >= 0.3
    assert later.task_s >= 0.1 and later.beside_s < 0.05


def test_the_cost_of_an_image_leaves_out_what_both_runs_have() -> None:
    few = Spent(whole_s=5.0, task_s=3.0, later_s=1.0, later=4)
    many = Spent(whole_s=9.0, task_s=6.5, later_s=4.5, later=18)
    cost = ImageCost.of(few, many, images=1000, shard_size=100)
    assert (cost.whole, cost.task, cost.engine) == pytest.approx((4.0, 1000 * 5.5 / 2200, 0.5))


@pytest.mark.parametrize("kind, tiles", [("--dense", 100), ("--sparse", 100)])
def test_the_memory_of_a_slide_is_measured(kind: str, tiles: int, tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    shown = in_a_process("slide-memory", "--side", 2000, "--mpp", 1, "--folder", tmp_path, kind)
    assert re.search(rf"^ +2000 +{tiles} +\d+ MB +\d+ MB +[\d.]+ s$", shown, re.MULTILINE), shown
    assert not list(tmp_path.iterdir())


def test_the_command_of_another_checkout_is_that_of_its_files(tmp_path: Path) -> None:
    """It is started in this checkout, which must not be imported in its place: the stand-in ends with status 5."""
    package = tmp_path / "edge_runtime"
    (package / "cli").mkdir(parents=True)
    for file, text in (("__init__.py", ""), ("cli/__init__.py", ""), ("cli/predict.py", "def run(): return 5\n")):
        (package / file).write_text(text)
    command = Command("other", [sys.executable, "-c", CODE], runtime=tmp_path)
    with pytest.raises(NoFiguresError, match="ended with status 5"):
        command.turn([0])
    command.close()


def test_the_stages_of_a_cold_command_add_up() -> None:
    found = run("cold-stages", "--tiny", "--model", DEFAULT_MODEL).stdout
    rows = dict(re.findall(r"^\| (.+?) \| ([\d.]+) \| [\d. ]*\|$", found, re.MULTILINE))
    whole, script = float(rows.pop("all")), float(rows.pop("minimal script"))
    assert len(rows) == 8 and script > 0
    assert sum(map(float, rows.values())) == pytest.approx(whole, abs=0.5)
