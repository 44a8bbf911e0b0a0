"""``--heatmap``: answers that are printed as ever, each with a drawing of where in the image it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, eq=False)
class DrawnExplanation:
    """An explanation, and where its drawing was written."""

    explanation: Explanation
    path: Path


@dataclass(frozen=True)
class HeatmapOptions:
    """What the command line says of heatmaps.

    Attributes:
        out: a file for one image; a folder, made if need be, for several.
        label: the label that they speak for; None: the answer's own.
        opacity: 0..1.
    """

    predictor: Predictor
    out: Path
    label: str | None
    opacity: float

    def answers(self, asked: Sequence[str | Marked | Failure]) -> Iterator[DrawnExplanation | Failure]:
        """Answer, draw and write one after another; an image that fails leaves the rest alone.

        Raises:
            SaliencyError, UsageError, BackendError: as :meth:`Predictor.explain`; or a drawing cannot be written.
        """
        for number, item in enumerate(asked, start=1):
            if isinstance(item, Failure):
                yield item
                continue
            source, region = unmarked(item)
            image = source_name(source)
            try:
                yield self._draw(image, region, self._path(image, number, len(asked)))
            except (ImageError, MachineError) as error:
                yield Failure(image, error, region)

    def line(self, render: Renderer, answer: DrawnExplanation | Failure) -> str:
        """Return an answer as ``render`` shows it, and what its drawing shows."""
        if isinstance(answer, Failure):
            return render.line(answer)
        if isinstance(render, JsonRenderer):
            return to_line(answer.explanation)
        line = render.line(answer.explanation.prediction)
        return line if isinstance(render, CsvRenderer) else f"{line}\n{_about(answer)}"

    def _draw(self, image: str, region: Region | None, path: Path) -> DrawnExplanation:
        explanation = self.predictor.explain(image, label=self.label, region=region)
        write_file(path, heatmap_png(explanation, opacity=self.opacity))
        return DrawnExplanation(explanation, path)

    def _path(self, image: str, number: int, count: int) -> Path:
        """Return where an image's drawing goes.

        Raises:
            UsageError: it would take the place of the image, or of a file that several cannot share.
        """
        if count == 1 and not self.out.is_dir():
            if _same_file(Path(image), self.out):
                raise UsageError(f"{self.out}: found the image itself, expected another file. Name another --heatmap.")
            return self.out
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.out}: cannot hold {count} drawings ({error.strerror}), expected a folder. Name another "
                "--heatmap."
            ) from None
        return self.out / f"{number:04}-{Path(image).stem}.heatmap.png"


def _same_file(one: Path, other: Path) -> bool:
    """Tell whether both are there and the same file."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _about(drawn: DrawnExplanation) -> str:
    """Say in one line what a drawing shows; in a second one what does not go together with the answer."""
    explanation = drawn.explanation
    peak, what = explanation.peak(), explanation.method.value
    unfamiliar = explanation.prediction.verdict.reason is Reason.UNFAMILIAR_INPUT  # no label means anything
    subject = what if unfamiliar or explanation.label is None else f"{what} of {explanation.label}"
    where = "blank: no place speaks for it" if peak is None else f"largest at x {peak[0]}, y {peak[1]}"
    lines = [f"heatmap   {subject}, {where}; {shown(drawn.path)}"]
    if explanation.note() and not unfamiliar:
        lines.append(f"          note: {explanation.note()}")
    return "\n".join(lines)
