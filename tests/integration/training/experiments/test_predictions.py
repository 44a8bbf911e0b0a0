"""Predictions read back exactly, and a file that is something else is refused."""

from pathlib import Path

import numpy as np
import pytest

from training.errors import ArtifactError
from training.experiments.predictions import HeldOutPrediction, read_predictions, write_predictions


def test_numbers_and_awkward_names_read_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = tuple(
        HeldOutPrediction(
            f'benign/a, "{i}".png', "7", "benign", i, float(rng.random()), tuple(map(float, rng.normal(size=3)))
        )
        for i in range(20)
    )
    write_predictions(tmp_path / "p.csv", rows)
    assert read_predictions(tmp_path / "p.csv") == rows
    header = (tmp_path / "p.csv").read_text().splitlines()[0]
    assert header == "name,group,label,fold,baseline,logit_0,logit_1,logit_2"
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize(
    "text",
    [
        "name,group,label,fold,baseline\na,1,benign,1,0.5\n",
        "name,group,label,fold,baseline,logit_0\na,1,benign,1,0.5\n",
        "name,group,label,fold,baseline,logit_0\na,1,benign,first,0.5,1.0\n",
        "name,group,part\na,1,test\n",
    ],
)
def test_a_file_that_is_cut_or_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"p\.csv: expected lines name,group,label,fold,baseline,logit_0"):
        read_predictions(tmp_path / "p.csv")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"missing.*Fit the fold again"):
        read_predictions(tmp_path / "p.csv")
