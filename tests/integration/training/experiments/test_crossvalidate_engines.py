"""Folds and seeds as tasks of an engine: the files and figures of a run in one process, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.places import ROOT
from training.cli.crossvalidate import crossvalidate

SEEDS = (1, 4)


def call(data: Path, out: Path, *more: str) -> str:
    """Run the command in a process of its own, whose warnings are its own; return stdout."""
    arguments = ["phantom-patch", "--data", str(data), "--out", str(out), "--folds", "3", "--epochs", "1"]
    command = [sys.executable, "-m", "training", "crossvalidate", *arguments, *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def here(phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Both seeds in this process."""
    root = tmp_path_factory.mktemp("here")
    for seed in SEEDS:
        call(phantom_data, root / f"seed-{seed}", "--seed", str(seed))
    return {seed: root / f"seed-{seed}" for seed in SEEDS}


@pytest.mark.parametrize("engine", ["dask", *(pytest.param(name, marks=pytest.mark.slow) for name in ("local", "ray"))])
def test_folds_and_seeds_on_an_engine_give_the_figures_of_one_process(
    engine: str, phantom_data: Path, tmp_path: Path, here: dict[int, Path]
) -> None:
    seeds = [word for seed in SEEDS for word in ("--seed", str(seed))]
    shown = call(phantom_data, tmp_path / "out", *seeds, "--engine", engine, "--workers", "2")
    assert shown.count("keras on 3 folds: 320 images") == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"seed-1", "seed-4"}
    for seed, expected in here.items():
        folder = tmp_path / "out" / f"seed-{seed}"
        for name in ("metrics.json", "plan.json"):
            assert json.loads((folder / name).read_text()) == json.loads((expected / name).read_text()), name
        assert (folder / "predictions.csv").read_bytes() == (expected / "predictions.csv").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    call(phantom_data, tmp_path / "out", *seeds, "--engine", engine, "--resume")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_does_not_fit_together_is_refused(phantom_data: Path, tmp_path: Path) -> None:
    arguments = ["phantom-patch", "--data", str(phantom_data), "--out", str(tmp_path / "out")]
    for more, told in ((["--workers", "2"], "need --engine"), (["--seed", "1", "--seed", "1"], "twice")):
        result = CliRunner().invoke(crossvalidate, [*arguments, *more])
        assert (result.exit_code, told in result.output) == (2, True)
    assert not (tmp_path / "out").exists()
