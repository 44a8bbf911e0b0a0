"""One image's way through the package, drawn while it is run: ``python -m tests.one_image [IMAGE]``.

Each line is a file that is entered, below the file that it is entered from, with the functions that are called there.
What comes before, the model being loaded, is left out.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import edge_runtime
from edge_runtime.cli.predict import main
from tests.places import ROOT

PACKAGE = Path(edge_runtime.__file__).parent
START = "_print_each"
"""The function of ``cli/predict.py`` that takes answers as they come, and prints them."""
GENERATED = PACKAGE / "serialisation" / "frozen.py"
"""The methods of dataclasses stand there; those of the standard library stand in no file."""


@dataclass
class Way:
    """What was entered.

    Attributes:
        entered: file → files it is entered from, in order of the first time.
        functions: file → functions called there, in order of the first time.
    """

    entered: dict[str, dict[str, None]] = field(default_factory=dict)
    functions: dict[str, dict[str, None]] = field(default_factory=dict)

    def drawn(self) -> str:
        """Return the files as a tree."""
        first = next(iter(self.entered))
        return "\n".join(self._below(first, 0))

    def _below(self, file: str, depth: int) -> list[str]:
        lines = [f"{'  ' * depth}{file}: {', '.join(self.functions[file])}"]
        for other, parents in self.entered.items():
            if next(iter(parents), None) == file:
                lines += self._below(other, depth + 1)
        return lines


def way_of(image: Path, *options: str) -> Way:
    """Answer an image twice, the first time to import what there is, and return what the second time entered."""
    arguments = [str(image), *options]
    way = Way()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        main(arguments, standalone_mode=False)
        sys.setprofile(lambda frame, event, _: _note(way, frame) if event == "call" else None)
        try:
            main(arguments, standalone_mode=False)
        finally:
            sys.setprofile(None)
    return way


def _note(way: Way, frame: FrameType) -> None:
    here = _file(frame)
    if here is None or not _within(frame):
        return
    above = frame.f_back
    while above is not None and _file(above) is None:
        above = above.f_back
    there = _file(above) if above is not None else None
    parents = way.entered.setdefault(here, {})
    if there is not None and there != here and len(way.entered) > 1:
        parents[there] = None
    if not frame.f_code.co_name.startswith("<"):
        way.functions.setdefault(here, {})[frame.f_code.co_name] = None


def _within(frame: FrameType) -> bool:
    """Tell whether the frame is the start, or lies below it."""
    above: FrameType | None = frame
    while above is not None and not (above.f_code.co_name == START and _file(above) == "cli/predict.py"):
        above = above.f_back
    return above is not None


def _file(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) and path != GENERATED else None


if __name__ == "__main__":
    print(way_of(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "phantom.png").drawn())
