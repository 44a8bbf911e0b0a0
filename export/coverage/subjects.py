"""All networks of the coverage table, in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

from export.coverage import activations, applications, files, layer_kinds, structures
from export.coverage.subject import Subject


def subjects(patterns: tuple[str, ...] = ()) -> Iterator[Subject]:
    """Yield the subjects whose name or group matches one of the patterns (``*`` is anything); all without patterns."""
    for module in (structures, activations, layer_kinds, files, applications):
        for subject in module.subjects():
            if not patterns or any(fnmatch(text, p) for text in (subject.name, subject.group) for p in patterns):
                yield subject
