"""What a person chooses about a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Size of a run.

    Attributes:
        scratch: folder for images and model files; removed afterwards.
        rounds: turns of each contestant; under 6 there are no intervals.
        items: images in a turn. All of a table: ten patches take less than a millisecond, in which the processor has
            not settled after the turn of another contestant.
        images: images of each network, in all.
        folders: network → folder of published images; others get drawn images.
        cold_starts: pairs of cold starts.
        tiles_side: tiles along each side of the slide.
        watched: files in the watched folder.
        folder_images: images of the run over a folder, for inputs of 50×50 pixels; fewer for larger ones. A fifth of
            the patches of the IDC data set, so that the start of a process hardly counts.
        requests: requests of a turn of the service.
        step: called after every turn.
    """

    scratch: Path
    rounds: int = 11
    items: int = 40
    images: int = 40
    folders: Mapping[str, Path] = field(default_factory=dict)
    cold_starts: int = 9
    tiles_side: int = 60
    watched: int = 20_000
    folder_images: int = 54_000
    requests: int = 200
    step: Callable[[], object] = lambda: None


TINY = {
    "rounds": 1,
    "items": 1,
    "images": 2,
    "cold_starts": 1,
    "tiles_side": 2,
    "watched": 20,
    "folder_images": 4,
    "requests": 4,
}
"""A run that shows that everything works, and measures nothing."""
