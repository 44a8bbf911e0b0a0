"""A fit that was interrupted or stopped by a full disk goes on to the result of one that ran through."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import training.fitting.callbacks
import training.fitting.fit
from tests.integration.training.fitting.fits import EPOCHS, PHANTOM, assert_same_history, assert_same_weights, history
from training.cli import main
from training.data.assignment import split_by_group
from training.data.augmentation import Augmentation
from training.data.datasets import idc
from training.data.splits import Part, select
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError
from training.fitting.checkpoint import Checkpoint
from training.fitting.fit import train_network
from training.fitting.progress import FitProgress
from training.recipes.recipe import Adam, AdamW, Cosine, Plateau, Recipe, Sgd

Interrupt = Callable[[int, BaseException], None]


def _with_dropout(weights: str | None = None) -> keras.Model:
    """Dropout has a random state of its own, which a checkpoint must hold."""
    layers = keras.layers
    inputs = keras.Input((50, 50, 3))
    x = layers.Conv2D(6, 5, strides=4)(inputs)
    x = layers.Dropout(0.4)(layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x)))
    logits = layers.Dense(2, name="logits")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Activation("sigmoid")(logits))


RESTLESS = replace(
    PHANTOM,
    network=_with_dropout,
    augmentation=Augmentation(flips=True, quarter_turns=True),
    plan=replace(PHANTOM.plan, optimiser=Adam(0.4), plateau=Plateau(factor=0.5, patience=1), stop_patience=5),
)
"""A rate so high that the loss goes up and down: the best epoch is not the last, and the rate is lowered."""


@pytest.fixture(scope="module")
def parts(phantom_data: Path) -> dict[Part, Tensors]:
    samples = idc.load(phantom_data).samples
    split = split_by_group(samples, PHANTOM.split)
    return {part: load_tensors(select(samples, split, part), PHANTOM.spec, label=part.value) for part in Part}


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Return a function that makes fits raise ``error`` in the middle of an epoch, counted from 1."""

    def interrupt_in(epoch: int, error: BaseException) -> None:
        class Interrupting(FitProgress):
            def on_epoch_begin(self, begun: int, logs: dict[str, Any] | None = None) -> None:
                self.now = begun + 1

            def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
                if (self.now, batch) == (epoch, 1):
                    raise error

        monkeypatch.setattr(training.fitting.fit, "FitProgress", Interrupting)

    return interrupt_in


def _train(recipe: Recipe, parts: dict[Part, Tensors], folder: Path, epochs: int = EPOCHS) -> keras.Model:
    folder.mkdir(exist_ok=True)
    return train_network(
        recipe,
        parts[Part.TRAIN],
        parts[Part.VALIDATION],
        epochs=epochs,
        history=folder / "history.csv",
        checkpoint=Checkpoint(folder / "checkpoint"),
    )


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (RESTLESS.plan, "best epoch kept, rate lowered"),
        (
            replace(RESTLESS.plan, keep_best=False, stop_patience=None, plateau=None, optimiser=Sgd(0.03, 0.5)),
            "last epoch kept, the other optimiser",
        ),
        (replace(RESTLESS.plan, stop_patience=2), "stopped early"),
        (
            replace(
                RESTLESS.plan,
                keep_best=False,
                stop_patience=None,
                plateau=None,
                cosine=Cosine(),
                optimiser=AdamW(0.02, weight_decay=0.1, average=0.9),
                weigh_labels=True,
            ),
            "a cosine, averaged weights, weighed labels",
        ),
    ],
)
def test_an_interrupted_fit_goes_on_to_the_history_and_the_weights_of_one_that_ran_through(
    plan: Any, why: str, parts: dict[Part, Tensors], tmp_path: Path, interrupt: Interrupt
) -> None:
    recipe = replace(RESTLESS, plan=plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.fitting.fit, "FitProgress", FitProgress)
        straight = _train(recipe, parts, tmp_path / "straight")
    epochs = len(history(tmp_path / "straight"))
    after = min(4, epochs) - 1
    interrupt(after + 1, RuntimeError("the cat"))
    with pytest.raises(RuntimeError, match="the cat"):
        _train(recipe, parts, tmp_path / "cut")
    state = Checkpoint(tmp_path / "cut" / "checkpoint").state()
    assert state is not None
    assert state.epochs == len(history(tmp_path / "cut")) == after
    interrupt(0, RuntimeError("never"))
    resumed = _train(recipe, parts, tmp_path / "cut")
    assert_same_history(tmp_path / "cut", tmp_path / "straight")
    assert_same_weights(resumed, straight)


def test_the_restless_fit_lowers_its_rate_and_is_best_before_it_is_interrupted(
    parts: dict[Part, Tensors], tmp_path: Path
) -> None:
    """Else the test above would prove nothing of what is replayed."""
    _train(RESTLESS, parts, tmp_path, epochs=3)
    rows = history(tmp_path)
    losses = [row["val_loss"] for row in rows]
    state = Checkpoint(tmp_path / "checkpoint").state()
    assert state is not None
    assert state.best == int(np.argmin(losses)) + 1 < 3, losses
    lowered = float(Checkpoint(tmp_path / "checkpoint").model(3).optimizer.learning_rate)
    assert lowered < 0.4, losses


def test_a_fit_that_early_stopping_has_ended_is_not_fitted_further(parts: dict[Part, Tensors], tmp_path: Path) -> None:
    recipe = replace(RESTLESS, plan=replace(RESTLESS.plan, optimiser=Adam(0.0), stop_patience=2))
    straight = _train(recipe, parts, tmp_path, epochs=9)
    before = (tmp_path / "history.csv").read_bytes()
    assert len(history(tmp_path)) < 9
    assert_same_weights(_train(recipe, parts, tmp_path, epochs=9), straight)
    assert (tmp_path / "history.csv").read_bytes() == before


def test_the_folder_holds_the_last_epoch_and_the_best_and_no_half_file(
    parts: dict[Part, Tensors], tmp_path: Path
) -> None:
    _train(RESTLESS, parts, tmp_path, epochs=4)
    state = Checkpoint(tmp_path / "checkpoint").state()
    assert state is not None
    expected = {"state.json"} | {f"epoch-{epoch:04d}.keras" for epoch in (state.epochs, state.best)}
    assert {path.name for path in (tmp_path / "checkpoint").iterdir()} == expected


def test_a_full_disk_names_the_file_and_leaves_the_checkpoint_whole(
    parts: dict[Part, Tensors], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system refuses to let a file grow, as it does on a full disk."""
    resource = pytest.importorskip("resource")
    _train(RESTLESS, parts, tmp_path, epochs=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ArtifactError) as found:
            _train(RESTLESS, parts, tmp_path, epochs=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))}/checkpoint/epoch-0003\.keras: cannot be written \(File too large\); found \d+ "
        r"bytes free in .*/checkpoint\. "
        r"The checkpoint of epoch 2 is whole: free space, then fit again with --resume\.",
        str(found.value),
    ), found.value
    assert not list((tmp_path / "checkpoint").glob("*.part*"))
    straight = _train(RESTLESS, parts, tmp_path / "straight", epochs=3)
    assert_same_weights(_train(RESTLESS, parts, tmp_path, epochs=3), straight)


def test_a_history_that_cannot_be_written_is_named(
    parts: dict[Part, Tensors], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training.fitting.callbacks, "append_epoch", full)
    with pytest.raises(
        ArtifactError, match=r"history\.csv: cannot be written \(No space left on device\).*No epoch was"
    ):
        _train(RESTLESS, parts, tmp_path, epochs=1)


def test_ctrl_c_exits_130_with_one_line_that_says_how_to_go_on(
    phantom_data: Path, tmp_path: Path, interrupt: Interrupt
) -> None:
    interrupt(2, KeyboardInterrupt())
    arguments = ["fit", "phantom-patch", "--data", str(phantom_data), "--out", str(tmp_path / "a"), "--epochs", "2"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1] == (
        "interrupted; the same command with --resume continues after the last whole epoch."
    )
    assert "Traceback" not in result.stderr
    assert logging.getLogger("training").handlers == []
