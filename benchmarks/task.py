"""What a worker process is told: the peer to open, the model, and the items to answer. JSON goes between processes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Circle = tuple[float, float, float]
"""A marked region: x and y of its centre and its radius, in pixels."""


class Item(NamedTuple):
    """What a peer answers: pixels (uint8 H×W×3, BGR), a path or a file's bytes, and the region to classify, if any."""

    image: Any
    region: Circle | None


@dataclass(frozen=True)
class Task:
    """One contestant's work.

    Attributes:
        peer: module with ``open_peer``, for example ``benchmarks.peers.litert_loop``.
        network: name of the bundle, for the preprocessing steps of :mod:`benchmarks.peers.steps`.
        model: path of the model file, or the bundle's name for this package.
        labels: names of the network's outputs; one label for a sigmoid head.
        paths: the images' files; ``kind`` says how they reach the peer.
        regions: a region for each path, or none at all for models of whole images.
        kind: ``array`` (uint8 H×W×3, BGR, decoded before the clock starts), ``read-only array``, ``path``, ``bytes`` or
            ``none``.
        options: further settings of this peer.
    """

    peer: str
    network: str = ""
    model: str = ""
    labels: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    regions: tuple[Circle, ...] = ()
    kind: str = "array"
    options: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return the task of a JSON text."""
        found: dict[str, Any] = json.loads(text)
        found["regions"] = [tuple(circle) for circle in found["regions"]]
        chosen: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found.items()
        }
        return cls(**chosen)

    def items(self) -> list[Item]:
        """Return the items in the form that :attr:`kind` says; arrays are decoded here, before any clock starts."""
        if self.kind == "none":
            return [Item(None, None)]
        regions = self.regions or (None,) * len(self.paths)
        return [Item(self._image(path), region) for path, region in zip(self.paths, regions, strict=True)]

    def _image(self, path: str) -> Any:
        if self.kind.endswith("array"):
            import cv2

            cv2.setNumThreads(1)
            pixels: Any = cv2.imread(path)
            pixels.setflags(write=self.kind == "array")
            return pixels
        return Path(path).read_bytes() if self.kind == "bytes" else path
