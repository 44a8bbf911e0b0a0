"""Files that other releases of TensorFlow write, and files that older programs do."""

from __future__ import annotations

from collections.abc import Iterator

from export.coverage.elsewhere import KINDS
from export.coverage.subject import Subject

_WRITTEN = {"2.15": {".h5": "Keras 2 .h5", "": "SavedModel"}, "2.20": {"": "SavedModel", ".keras": ".keras"}}


def subjects() -> Iterator[Subject]:
    """Yield a subject for each release, kind of file and network."""
    for release, endings in _WRITTEN.items():
        for ending, called in endings.items():
            for kind in KINDS:
                name = f"{called} of TensorFlow {release}, {kind}"
                yield Subject(name, "files of other releases", kind, ending=ending, release=release)
