"""What a file holds besides its pixels costs no memory to speak of, and little processor time.

Each file is read in a process of its own, which measures its processor time and the peak of its resident memory.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.hostile.bombs import BOMBS
from tests.integration.hostile.bounded_reader import read_apart, soon

PEAK_MIB = 512


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    path, found = tmp_path_factory.mktemp("bombs") / "bomb", {}
    for case, (_, built) in BOMBS.items():
        path.write_bytes(built())
        answers = read_apart([str(path)])
        if answers:
            found[case] = answers[0]
    return found


@pytest.mark.parametrize("case", BOMBS)
def test_no_file_takes_more_than_512_mib_or_much_of_the_processor(
    case: str, measured: dict[str, dict[str, Any]]
) -> None:
    assert case in measured, "the process hung or died"
    found, expected = measured[case], BOMBS[case][0]
    assert expected is None or expected in (found.get("code"), tuple(found.get("shape", ()))), found
    assert found["peak_mib"] <= PEAK_MIB
    assert soon(found), found
