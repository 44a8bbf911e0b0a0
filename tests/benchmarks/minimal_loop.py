"""What nobody can do without: decode, resize, sharpen, quantise, invoke, argmax; and made-up patches to do it with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter
from system_4 import BUNDLE

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format, Precision
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL

Pixels = npt.NDArray[np.uint8]
_SHARPEN = np.float32([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]])


class Minimal:
    """The hand-written loop for system 4's int8 file: no checks, no errors, no policy, no guard band."""

    def __init__(self, model: Path = BUNDLE) -> None:
        bundle = find(model)
        entry = bundle.model(Format.TFLITE, Precision.INT8)
        if entry is None:
            raise SystemExit(f"{bundle.where}: holds no int8 TFLite file to compare with.")
        self._model = Interpreter(model_content=bundle.content(entry), num_threads=1)
        self._model.allocate_tensors()
        entry, out = self._model.get_input_details()[0], self._model.get_output_details()[0]
        self._into, self._out, (self._scale, self._zero) = entry["index"], out["index"], entry["quantization"]
        self.invoke: Callable[[], None] = self._model.invoke

    def array(self, pixels: Pixels) -> int:
        """Answer uint8 H×W×3 BGR pixels."""
        values = self._prepared(pixels)
        if self._scale:  # 0 where the file takes float32
            values = np.clip(np.rint(values / self._scale) + self._zero, -128, 127).astype(np.int8)
        self._model.set_tensor(self._into, values[np.newaxis])
        self._model.invoke()
        return int(np.argmax(self._model.get_tensor(self._out)))

    def path(self, path: str) -> int:
        """Answer a file."""
        return self.array(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR))

    @staticmethod
    def _prepared(pixels: Pixels) -> npt.NDArray[np.float32]:
        image = cv2.filter2D(cv2.resize(pixels, (50, 50), interpolation=cv2.INTER_LINEAR_EXACT), -1, _SHARPEN)
        return image.astype(np.float32) / 255


class MinimalPatch(Minimal):
    """The same loop for the default model, whose steps are others; it asks no image whether it is familiar."""

    def __init__(self) -> None:
        super().__init__(Path(DEFAULT_MODEL))

    @staticmethod
    def _prepared(pixels: Pixels) -> npt.NDArray[np.float32]:
        image = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), (50, 50), interpolation=cv2.INTER_LINEAR_EXACT)
        return image.astype(np.float32) / np.float32(127.5) - 1


class MinimalUltrasound(Minimal):
    """The same loop for breast-us: grey, scaled into a black frame, halved to 192 px."""

    def __init__(self) -> None:
        super().__init__(Path("breast-us"))

    @staticmethod
    def _prepared(pixels: Pixels) -> npt.NDArray[np.float32]:
        image = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        scale = 768 / max(image.shape)
        height, width = (max(1, round(side * scale)) for side in image.shape)
        top, left = (768 - height) // 2, (768 - width) // 2
        frame = np.zeros((768, 768), np.uint8)
        frame[top : top + height, left : left + width] = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT
        )
        image = frame
        for side in (384, 192):
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR_EXACT)
        return image[..., np.newaxis].astype(np.float32) / np.float32(127.5) - 1


def patches(count: int, side_px: int = 50, seed: int = 5) -> list[Pixels]:
    """Draw tissue-like patches: a pink ground with dark round nuclei, more of them in every other one."""
    rng = np.random.default_rng(seed)
    drawn = []
    for i in range(count):
        ground = rng.normal((200, 150, 215), 12, (side_px, side_px, 3)).clip(0, 255).astype(np.uint8)
        for _ in range(rng.integers(25, 60) if i % 2 else rng.integers(2, 12)):
            centre, radius = rng.integers(0, side_px, 2).tolist(), int(rng.integers(2, 5))
            cv2.circle(ground, centre, radius, rng.integers((90, 30, 60), (150, 90, 120)).tolist(), -1)
        drawn.append(cv2.GaussianBlur(ground, (3, 3), 0))
    return drawn


def image_files(folder: Path | None, count: int, scratch: Path, side_px: int = 50) -> list[str]:
    """Return ``count`` PNG files: those in ``folder``, over and over if need be, or drawn ones in ``scratch``."""
    if folder is not None:
        found = sorted(str(path) for path in folder.rglob("*.png"))
        if not found:
            raise SystemExit(f"{folder}: found no .png files.")
        step = max(1, len(found) // count)
        return (found[::step] * -(-count // len(found[::step])))[:count]
    paths = [scratch / f"{i:04}.png" for i in range(count)]
    for path, pixels in zip(paths, patches(count, side_px), strict=True):
        cv2.imwrite(str(path), pixels)
    return [str(path) for path in paths]


def seconds(call: Callable[[], object]) -> float:
    """Return the wall seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def side_by_side(calls: Sequence[Callable[[], object]]) -> None:
    """Call all at once, each in a thread of its own."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
