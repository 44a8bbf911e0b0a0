"""The answers of a site acceptance: one line for each image in the order of the protocol, durable and verified."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.assurance.cases import Case, CaseImage
from edge_runtime.assurance.outcome import ImageAnswer
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import AcceptanceError
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.results.append_only_file import Durable
from edge_runtime.results.checks import open_durable, write_error
from edge_runtime.results.entries import ResultsEntry, entries
from edge_runtime.results.lines import to_line


class AnswersFile:
    """The file of answers, open for appending; use as a context manager."""

    def __init__(self, path: Path, cases: Sequence[Case], bundle: str) -> None:
        """Open or create the file and check the lines that are there.

        Args:
            path: path of the file.
            cases: the cases of the protocol; their images, in order, are the lines.
            bundle: SHA-256 of ``bundle.json``, which each line must name.

        Raises:
            AcceptanceError: ``acceptance_answers``, if a line is damaged, or is not of this image, these bytes and this
                model.
            ResultsError: another process writes to the file, or it cannot be opened.
        """
        self.path = path
        self._images = [image for case in cases for image in case.images]
        self._bundle = bundle
        self.answers: list[ImageAnswer] = []
        self._file: Durable = open_durable(path, existing=True)
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    @property
    def open_images(self) -> list[CaseImage]:
        """The images without an answer, in order."""
        return self._images[len(self.answers) :]

    def append(self, answer: Prediction | Failure) -> None:
        """Write the answer on the next image.

        Raises:
            AcceptanceError: ``acceptance_answers``, if the image's bytes are not those of the protocol.
            ResultsWriteError: the disk is full or gone. The file ends with the previous answer.
        """
        if isinstance(answer, Failure):
            answer = answer.by(self._bundle)
        parsed = self._parsed(answer.to_dict(), f"image {len(self.answers) + 1} of the list")
        try:
            self._file.append((to_line(answer) + "\n").encode("ascii"))
        except OSError as error:
            raise write_error(self.path, error, len(self.answers)) from None
        self.answers.append(parsed)

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()

    def __enter__(self) -> AnswersFile:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _read(self) -> None:
        with self._file.reader() as file:
            for entry in entries(file):
                if entry.torn:  # a power cut; the image is answered again
                    self._file.cut(entry.start)
                    return
                self._take(entry)

    def _take(self, entry: ResultsEntry) -> None:
        if entry.line is None or len(self.answers) == len(self._images):
            fault = entry.fault or "a line more than there are images"
            raise AcceptanceError(
                f"{self.path}, line {entry.number}: found {fault}, expected the answers as they were written. Start "
                "again with another --out.",
                code="acceptance_answers",
            )
        self.answers.append(self._parsed(json.loads(entry.data), f"{self.path}, line {entry.number}"))

    def _parsed(self, fields: dict[str, object], where: str) -> ImageAnswer:
        image = self._images[len(self.answers)]
        found = {"sha256": fields.get("sha256", image.sha256), "bundle": fields.get("bundle")}
        if found != {"sha256": image.sha256, "bundle": self._bundle}:
            raise AcceptanceError(
                f"{where}: found the answer of other bytes or of another model than the protocol names, expected the "
                "image and the model unchanged. Restore them, or start again with another --out.",
                code="acceptance_answers",
            )
        error = fields.get("error")
        if isinstance(error, dict):
            return ImageAnswer(None, str(error["code"]))
        confidence, score = (float(str(fields[name])) for name in ("confidence", "score"))
        scores = fields["scores"]
        each = tuple(map(float, scores.values())) if isinstance(scores, dict) else ()
        return ImageAnswer(Decision(fields["decision"]), str(fields["reason"]), confidence, score, each)
