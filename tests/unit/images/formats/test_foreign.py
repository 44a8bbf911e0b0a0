"""A file that begins as an image is not compared with the patterns of foreign formats: none of them can match it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.images.formats import _SIGNATURES, HEAD_BYTES, begins_as_image
from edge_runtime.images.formats.foreign import _FOREIGN


@pytest.mark.parametrize("pattern", [pattern for pattern, _, _ in _FOREIGN])
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_no_foreign_file_begins_as_an_image(pattern: bytes, data: st.DataObject) -> None:
    """Also if the bytes before its own signature are those of an image."""
    found = data.draw(st.from_regex(re.compile(pattern, re.DOTALL)))
    start = re.search(pattern, found, re.DOTALL)
    assert start is not None
    foreign = found[start.start() :]
    assert not begins_as_image(foreign)
    for signature in _SIGNATURES:
        disguised = signature + foreign[len(signature) :]
        if re.match(pattern, disguised, re.DOTALL):
            assert not begins_as_image(disguised) and not begins_as_image(disguised[:HEAD_BYTES])


def test_patterns_behind_the_first_bytes_are_tried_in_disguise() -> None:
    disguised = b"BM\0\0ftypheic".ljust(128, b"\0") + b"DICM".ljust(216, b"\0") + b"n+1\0"
    assert len([pattern for pattern, _, _ in _FOREIGN if re.match(pattern, disguised, re.DOTALL)]) == 4
