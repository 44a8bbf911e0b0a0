"""UIDs of results: valid, stable, and different wherever what they depend on is."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from edge_runtime.dicom.uids import Kind, derived_uid

PARTS = st.lists(st.one_of(st.none(), st.integers(), st.text()), max_size=6)


@given(st.sampled_from(list(Kind)), PARTS)
def test_a_uid_is_valid_and_that_of_a_uuid(kind: Kind, parts: list[str | int | None]) -> None:
    found = derived_uid(kind, parts)
    assert UID(found).is_valid
    made = uuid.UUID(int=int(found.removeprefix("2.25.")))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert found == derived_uid(kind, parts)


def test_every_part_counts_and_so_does_the_kind() -> None:
    base = ("1.2.3", "", "breast-us", "1.0.0", "abc", "")
    others = [(*base[:i], base[i] + "x", *base[i + 1 :]) for i in range(len(base))]
    found = {derived_uid(kind, parts) for kind in Kind for parts in (base, *others)}
    assert len(found) == len(Kind) * (1 + len(base))
    assert derived_uid(Kind.REPORT, ("ab", "c")) != derived_uid(Kind.REPORT, ("a", "bc"))


def test_the_uids_of_this_release_stay_those_of_the_next() -> None:
    """A study that is sent again after an update makes no second report."""
    parts = ("1.2.840.1", "", "breast-us", "1.0.0", "0" * 64, "")
    assert derived_uid(Kind.REPORT, parts) == "2.25.144884442972286967277104869456720060289"
