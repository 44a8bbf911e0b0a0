"""From what the command line names to pictures, and from pictures to answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import click

from edge_runtime.errors import ImageNotFoundError
from edge_runtime.folders import PICTURE_SUFFIXES, folder_error, pictures_below
from edge_runtime.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor
from edge_runtime.region import Marked

Answer = TypeVar("Answer")


def pictures(images: Iterable[str]) -> Iterator[str | Failure]:
    """Yield each path; a folder yields its pictures, and a failure if it has none or cannot be listed."""
    for image in images:
        if not os.path.isdir(image):
            yield image
            continue
        errors: list[OSError] = []
        found = pictures_below(Path(image), errors.append)
        yield from map(str, found)
        yield from (Failure(str(error.filename), folder_error(error)) for error in errors)
        if not found and not errors:
            endings = " ".join(sorted(PICTURE_SUFFIXES))
            message = f"{image}: found a folder without pictures, expected files ending in {endings}."
            yield Failure(image, ImageNotFoundError(message, code="folder_without_images"))


def answers(
    predictor: Predictor, asked: Sequence[str | Marked | Failure], workers: int
) -> Iterator[Prediction | Failure]:
    """Yield one answer a path or marked picture, in order; what has failed already passes through."""
    found = predictor.predict_all((item for item in asked if not isinstance(item, Failure)), workers=workers)
    for item in asked:
        yield item if isinstance(item, Failure) else next(found)


def progress(found: Iterator[Answer], count: int) -> Iterator[Answer]:
    """Pass answers on, with a bar on stderr if someone sees it."""
    if count < 2 or not sys.stderr.isatty():
        yield from found
        return
    with click.progressbar(found, length=count, label="answering", file=sys.stderr) as bar:
        yield from bar
