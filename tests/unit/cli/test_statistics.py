"""``--statistics``: the numbers of the package in each line on request, and not a byte without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.images.reader import read
from edge_runtime.ood.detector import NAMES
from edge_runtime.ood.statistics import statistics
from tests.fixtures.commands import Called
from tests.unit.cli.results_lines import lines


def test_statistics_are_added_on_request_alone(
    edge_predict: Called, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    plain, asked = tmp_path / "plain.jsonl", tmp_path / "asked.jsonl"
    edge_predict("--model", phantom_bundle, "--output", plain, *phantom_patches[:5])
    edge_predict("--model", phantom_bundle, "--output", asked, "--statistics", "--workers", 2, *phantom_patches[:5])
    for without, with_them, path in zip(lines(plain), lines(asked), phantom_patches, strict=False):
        numbers = with_them.pop("statistics")
        assert without == with_them
        image = read(path)
        assert (numbers.pop("height"), numbers.pop("width")) == image.pixels.shape[:2]
        assert list(numbers) == list(NAMES)
        assert list(numbers.values()) == pytest.approx(statistics(image).tolist(), abs=5.1e-7)
    assert edge_predict("check", asked).exit_code == 0


def test_statistics_need_json(edge_predict: Called, phantom_patches: list[Path]) -> None:
    for options in ((), ("--csv",)):
        done = edge_predict(phantom_patches[0], "--statistics", *options)
        assert done.exit_code == 2 and "--statistics needs --json or --output FILE." in done.output
