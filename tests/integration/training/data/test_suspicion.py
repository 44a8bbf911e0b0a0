"""Every BI-RADS category has its probability; categories without one have none."""

from __future__ import annotations

import pytest

from training.data.suspicion import PROBABILITY, suspicion


@pytest.mark.parametrize(
    ("category", "probability"),
    [
        ("1", 0.0),
        ("2", 0.0),
        ("3", 0.01),
        ("4a", 0.06),
        ("4B", 0.3),
        ("4c", 0.73),
        ("4", 0.37),
        ("5", 0.97),
        ("6", 1.0),
    ],
)
def test_a_category_has_the_middle_of_its_range(category: str, probability: float) -> None:
    assert suspicion((("site", "x"), ("BI-RADS", category))) == probability


@pytest.mark.parametrize(
    "traits", [(), (("site", "4a"),), (("BI-RADS", ""),), (("BI-RADS", "0"),), (("BI-RADS", "7"),)]
)
def test_an_unknown_category_has_none(traits: tuple[tuple[str, str], ...]) -> None:
    assert suspicion(traits) is None


def test_probabilities_rise_with_the_category_and_4_is_the_mean_of_its_parts() -> None:
    rising = [PROBABILITY[category] for category in ("1", "2", "3", "4a", "4b", "4c", "5", "6")]
    assert rising == sorted(rising)
    parts = [PROBABILITY[part] for part in ("4a", "4b", "4c")]
    assert PROBABILITY["4"] == pytest.approx(sum(parts) / 3, abs=0.01)
