"""``--resume`` finishes a fit that was killed or interrupted, and rejects a folder with another fit."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

import training.fitting.callbacks
import training.fitting.fit
from tests.integration.training.fitting.fits import EPOCHS, PHANTOM, assert_same_history, assert_same_weights, history
from tests.places import ROOT
from training.artifact import Artifact
from training.cli import main
from training.data.datasets import idc
from training.data.splits import Part, select
from training.errors import ArtifactError
from training.fitting.fit import fit

KILLED = """
import os, signal, sys
from pathlib import Path
import training.fitting.checkpoint as checkpoint
from training.fitting.fit import fit
from training.recipes import find_recipe
whole = checkpoint.write_whole
def half(part):
    part.write_bytes(b"half a file")
    os.kill(os.getpid(), signal.SIGKILL)
def dying(path, write):
    whole(path, half if path.name == "epoch-0004.keras" else write)
checkpoint.write_whole = dying
fit(find_recipe("phantom-patch"), Path(sys.argv[1]), Path(sys.argv[2]), epochs=6)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_fit_killed_while_it_saves_goes_on_from_the_epoch_before(
    phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.fitting.fit, "compare", lambda *_: [])  # the bootstrap takes longer than the fit
    straight = fit(PHANTOM, phantom_data, tmp_path / "straight", epochs=EPOCHS)
    cut = tmp_path / "cut"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, phantom_data, cut],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert child.returncode == -9, child.stderr.decode()
    assert len(list((cut / "checkpoint").glob(".epoch-0004.*.part.keras"))) == 1
    assert len(history(cut)) == 4  # the line of the epoch that was not saved
    with pytest.raises(ArtifactError, match="It is an interrupted fit: --resume continues it"):
        fit(PHANTOM, phantom_data, cut, epochs=EPOCHS)
    result = CliRunner().invoke(
        main, ["fit", "phantom-patch", "--data", str(phantom_data), "--out", str(cut), "--epochs", "6", "--resume"]
    )
    assert result.exit_code == 0, result.output
    assert "continuing after epoch 3 of 6" in result.stderr
    assert idc.load(phantom_data).summary() in result.stderr
    assert_same_history(cut, straight.folder)
    models = [keras.models.load_model(folder / "model.keras", compile=False) for folder in (cut, straight.folder)]
    assert_same_weights(*models)
    assert {path.name for path in cut.iterdir()} == {path.name for path in straight.folder.iterdir()}
    assert Artifact(cut).measured() == straight.measured()
    with pytest.raises(ArtifactError, match=r"found metrics.json, so the fit is finished"):
        fit(PHANTOM, phantom_data, cut, epochs=EPOCHS, resume=True)


@pytest.mark.parametrize("inside", ["missing", "empty", "other files"])
def test_a_folder_without_a_fit_has_nothing_to_resume(tmp_path: Path, phantom_data: Path, inside: str) -> None:
    out = tmp_path / "out"
    if inside != "missing":
        out.mkdir()
    if inside == "other files":
        (out / "thesis.txt").touch()
    with pytest.raises(ArtifactError, match=r"out: nothing to resume: .*Leave --resume out"):
        fit(PHANTOM, phantom_data, out, resume=True)


@pytest.fixture(scope="module")
def two_epochs(phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit of phantom-patch, interrupted after two epochs."""
    out = tmp_path_factory.mktemp("cut") / "a"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.fitting.fit, "logits_model", lambda _: (_ for _ in ()).throw(RuntimeError("the cat")))
        with pytest.raises(RuntimeError, match="the cat"):
            fit(PHANTOM, phantom_data, out, epochs=2)
    return out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            "spec",
            r"spec\.json: found recipe phantom-patch 1\.0\.0, expected phantom-patch 1\.0\.1; .*differ in version",
        ),
        (
            "split",
            r"split\.csv: found another split than for these data: \d+ of 20 groups differ, the first .*: found",
        ),
        ("epochs", r"found 2 epochs done, expected at most 1\. Raise --epochs"),
        ("plan", r"the fit began with other plan: found .*batch=32.* expected .*batch=16"),
        ("picture", r"the fit began with other (training|validation) images \(SHA-256\): found [0-9a-f]{64}, expected"),
    ],
)
def test_a_fit_of_something_else_is_not_continued(
    two_epochs: Path, phantom_data: Path, tmp_path: Path, change: str, named: str
) -> None:
    recipe, data, epochs = PHANTOM, phantom_data, 3
    if change == "spec":
        recipe = replace(recipe, spec=replace(recipe.spec, version="1.0.1"))
    elif change == "split":
        recipe = replace(recipe, split=replace(recipe.split, seed=7))
    elif change == "epochs":
        epochs = 1
    elif change == "plan":
        recipe = replace(recipe, plan=replace(recipe.plan, batch=16))
    else:
        data = shutil.copytree(phantom_data, tmp_path / "data")
        fitted = select(idc.load(data).samples, Artifact(two_epochs).split(), Part.TRAIN)
        shutil.copyfile(fitted[1].path, fitted[0].path)
    before = {path: path.read_bytes() for path in two_epochs.rglob("*") if path.is_file()}
    with pytest.raises(ArtifactError, match=named):
        fit(recipe, data, two_epochs, epochs=epochs, resume=True)
    assert {path: path.read_bytes() for path in two_epochs.rglob("*") if path.is_file()} == before


def test_a_fit_interrupted_while_it_measures_is_finished_without_another_epoch(
    two_epochs: Path, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.fitting.fit, "compare", lambda *_: [])  # the bootstrap takes longer than the fit
    out = shutil.copytree(two_epochs, tmp_path / "a")
    before = (out / "history.csv").read_bytes()
    assert fit(PHANTOM, phantom_data, out, epochs=2, resume=True).measured().training.epochs == 2
    assert (out / "history.csv").read_bytes() == before
    assert not (out / "checkpoint").exists()


def test_a_checkpoint_whose_history_is_lost_is_refused(two_epochs: Path, phantom_data: Path, tmp_path: Path) -> None:
    out = shutil.copytree(two_epochs, tmp_path / "a")
    (out / "history.csv").unlink()
    with pytest.raises(ArtifactError, match=r"history\.csv: found 0 epochs, expected at least the 2 of the checkpoint"):
        fit(PHANTOM, phantom_data, out, epochs=3, resume=True)
