"""Progress of an export on a terminal: the stage, the quantisation scheme and the time left. Quiet in a pipe."""

from __future__ import annotations

import enum
import threading
import time
from types import TracebackType
from typing import TextIO

from tqdm import tqdm


class Stage(enum.Enum):
    """A stage of an export: its name, and its share of the time of a typical export.

    The shares are those of ``mias-region`` and ``breast-us``; an int8 stage counts one scheme.
    """

    READ = "reading images", 4
    KERAS = "computing with Keras", 10
    HEATMAPS = "heatmaps with Keras", 8
    TFLITE_FLOAT32 = "TFLite float32", 8
    TFLITE_FLOAT16 = "TFLite float16", 8
    ONNX_FLOAT32 = "ONNX float32", 8
    EQUALISE = "rewriting for int8", 8
    TFLITE_INT8 = "TFLite int8", 8
    ONNX_INT8 = "ONNX int8", 8
    PROVE = "comparing all files", 8

    @property
    def label(self) -> str:
        """Name of the stage."""
        return str(self.value[0])

    @property
    def share(self) -> float:
        """Relative duration."""
        return float(self.value[1])


class ExportProgress:
    """One line on stderr that names the stage and the time left, if stderr is a terminal.

    The time left is estimated from the stages that are done. Each further scheme of an int8 stage adds its share.
    """

    def __init__(self, *, float16: bool = False, stream: TextIO | None = None) -> None:
        """Show nothing yet.

        Args:
            float16: whether there is a float16 stage.
            stream: where the line is written; stderr by default.
        """
        self._left: list[Stage] = [stage for stage in Stage if float16 or stage is not Stage.TFLITE_FLOAT16]
        self._stage: Stage | None = None
        self._detail = ""
        self._done, self._began, self._stage_began = 0.0, time.monotonic(), time.monotonic()
        total = sum(stage.share for stage in self._left)
        form = "{percentage:3.0f}% |{bar:20}| {elapsed} {desc}"
        self._bar = tqdm(total=total, disable=None, leave=False, file=stream, bar_format=form)
        self._ended = threading.Event()

    def __enter__(self) -> ExportProgress:
        if not self._bar.disable:
            threading.Thread(target=self._refresh, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._bar.close()

    def begin(self, stage: Stage, detail: str = "") -> None:
        """End the stage before, and begin ``stage``.

        Args:
            detail: what is done in it, such as the quantisation scheme.
        """
        if self._stage is not None:
            self._done += self._stage.share
            self._bar.update(self._stage.share)
        if stage in self._left:
            self._left.remove(stage)
        else:  # another scheme
            self._bar.total = (self._bar.total or 0) + stage.share
        self._stage, self._detail, self._stage_began = stage, detail, time.monotonic()
        self._show()

    def seconds_left(self) -> float | None:
        """Return the estimated time to the end; None before the first stage is done."""
        if self._stage is None or not self._done:
            return None
        now = time.monotonic()
        pace = (self._stage_began - self._began) / self._done
        current = max(0.0, pace * self._stage.share - (now - self._stage_began))
        return current + pace * sum(stage.share for stage in self._left)

    def text(self) -> str:
        """Return the stage, its detail and the time left."""
        if self._stage is None:
            return ""
        named = f"{self._stage.label}: {self._detail}" if self._detail else self._stage.label
        left = self.seconds_left()
        return named if left is None else f"{named}; {duration(left)} left"

    def _show(self) -> None:
        self._bar.set_description_str(self.text())

    def _refresh(self) -> None:
        while not self._ended.wait(1.0):
            self._show()


def duration(seconds: float) -> str:
    """Return a rounded duration, such as ``about 40 s`` or ``about 3 min``."""
    if seconds < 10:
        return "less than 10 s"
    return f"about {round(seconds, -1):.0f} s" if seconds < 95 else f"about {seconds / 60:.0f} min"
