"""The option ``--heatmap``: predictions that are printed as usual, each with a heatmap file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.cli.output import write_file
from edge_runtime.cli.render import CsvRenderer, JsonRenderer, Renderer
from edge_runtime.decision.verdict import Reason
from edge_runtime.errors import ImageError, MachineError, UsageError
from edge_runtime.explain.explanation import Explanation
from edge_runtime.explain.overlay import heatmap_png
from edge_runtime.images.reader import source_name
from edge_runtime.images.region import Marked, Region, unmarked
from edge_runtime.inference.prediction import Failure
from edge_runtime.platform.escaped_names import shown
from edge_runtime.predictor import Predictor
from edge_runtime.results.lines import to_line

if TYPE_CHECKING:
    from edge_runtime.dicom.study import StudyItem
    from edge_runtime.predictor import AnySource


@dataclass(frozen=True, eq=False)
class DrawnExplanation:
    """An explanation, and the path of its heatmap file."""

    explanation: Explanation
    path: Path


@dataclass(frozen=True)
class HeatmapOptions:
    """The heatmap options of the command line.

    Attributes:
        out: a file for one image; a folder for several, created if it is missing.
        label: the label that the heatmaps explain; None for the predicted label.
        opacity: opacity of the heatmap over the image, 0..1.
    """

    predictor: Predictor
    out: Path
    label: str | None
    opacity: float

    def answers(self, images: Sequence[str | StudyItem | Marked | Failure]) -> Iterator[DrawnExplanation | Failure]:
        """Classify, draw and write image by image. After a failed image, the following ones are still processed.

        Raises:
            SaliencyError, UsageError, BackendError: as in :meth:`Predictor.explain`, or a file cannot be written.
        """
        for number, item in enumerate(images, start=1):
            if isinstance(item, Failure):
                yield item
                continue
            source, region = unmarked(item)
            image = source_name(source)
            try:
                yield self._draw(source, region, self._path(image, number, len(images)))
            except (ImageError, MachineError) as error:
                yield Failure(image, error, region)

    def line(self, render: Renderer, answer: DrawnExplanation | Failure) -> str:
        """Return the text of a result by ``render``, followed by one line about its heatmap."""
        if isinstance(answer, Failure):
            return render.line(answer)
        if isinstance(render, JsonRenderer):
            return to_line(answer.explanation)
        line = render.line(answer.explanation.prediction)
        return line if isinstance(render, CsvRenderer) else f"{line}\n{_about(answer)}"

    def _draw(self, image: AnySource, region: Region | None, path: Path) -> DrawnExplanation:
        explanation = self.predictor.explain(image, label=self.label, region=region)
        write_file(path, heatmap_png(explanation, opacity=self.opacity))
        return DrawnExplanation(explanation, path)

    def _path(self, image: str, number: int, count: int) -> Path:
        """Return the path of an image's heatmap file.

        Raises:
            UsageError: the path is the image itself, or the folder for several heatmaps cannot be created.
        """
        if count == 1 and not self.out.is_dir():
            if _same_file(Path(image), self.out):
                raise UsageError(f"{self.out}: found the image itself, expected another file. Name another --heatmap.")
            return self.out
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.out}: cannot store {count} heatmaps here ({error.strerror}), expected a folder. Name another "
                "--heatmap."
            ) from None
        return self.out / f"{number:04}-{Path(image).stem}.heatmap.png"


def _same_file(one: Path, other: Path) -> bool:
    """Return whether both exist and are the same file."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _about(drawn: DrawnExplanation) -> str:
    """Return one line about the heatmap, and a second one if it does not match the prediction."""
    explanation = drawn.explanation
    peak, what = explanation.peak(), explanation.method.value
    unfamiliar = explanation.prediction.verdict.reason is Reason.UNFAMILIAR_INPUT  # then no label is valid
    subject = what if unfamiliar or explanation.label is None else f"{what} of {explanation.label}"
    where = "blank: no area raises its score" if peak is None else f"largest at x {peak[0]}, y {peak[1]}"
    lines = [f"heatmap   {subject}, {where}; {shown(drawn.path)}"]
    if explanation.note() and not unfamiliar:
        lines.append(f"          note: {explanation.note()}")
    return "\n".join(lines)
