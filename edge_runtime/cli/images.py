"""From what the command line names to images, and from images to answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from edge_runtime.errors import ImageNotFoundError
from edge_runtime.images.region import Marked
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor

if TYPE_CHECKING:
    from edge_runtime.images.left_out import LeftOut

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Named:
    """What the command line names.

    Attributes:
        images: each path to answer, and each folder that has no image or cannot be listed, in order.
        left_out: what the folders hold beside them.
    """

    images: tuple[str | Failure, ...]
    left_out: tuple[LeftOut, ...] = ()


def named(arguments: Iterable[str]) -> Named:
    """Return the files among ``arguments`` as they are, and for each folder what it holds."""
    images: list[str | Failure] = []
    left_out: list[LeftOut] = []
    for argument in arguments:
        if os.path.isdir(argument):
            found = _in_folder(argument)
            images += found.images
            left_out += found.left_out
        else:
            images.append(argument)
    return Named(tuple(images), tuple(left_out))


def _in_folder(folder: str) -> Named:
    from edge_runtime.images.discovery import folder_error, look_into  # here: one image starts without them

    found = look_into(folder)
    images: list[str | Failure] = [image.path for image in found.images]
    images += [Failure(str(error.filename), folder_error(error)) for error in found.unreadable]
    if not images:
        message = (
            f"{folder}: found a folder without images, expected files that are PNG, JPEG, TIFF, BMP, PNM or WebP by "
            "content. Check the folder."
        )
        images.append(Failure(folder, ImageNotFoundError(message, code="folder_without_images")))
    return Named(tuple(images), found.left_out)


def answers(
    predictor: Predictor, asked: Sequence[str | Marked | Failure], workers: int
) -> Iterator[Prediction | Failure]:
    """Yield one answer a path or marked picture, in order; what has failed already passes through."""
    found = predictor.predict_all((item for item in asked if not isinstance(item, Failure)), workers=workers)
    for item in asked:
        yield item if isinstance(item, Failure) else next(found)


def progress(found: Iterator[Answer], count: int) -> Iterator[Answer]:
    """Pass answers on, with a bar on stderr if someone sees it."""
    if count < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield from found
        return
    with click.progressbar(found, length=count, label="answering", file=sys.stderr) as bar:
        yield from bar
