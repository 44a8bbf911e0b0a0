"""Answer the images of a site's cases once, on a machine whose self-test has passed; an interrupted run continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from edge_runtime.assurance.answers_file import AnswersFile
from edge_runtime.assurance.cases import CaseImage
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import BackendError
from edge_runtime.images.region import Marked, Region
from edge_runtime.inference.backends.base import Provider
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor
from edge_runtime.selftest.certificate import Certificate
from edge_runtime.selftest.replay import selftest

Answers: TypeAlias = Iterator[Prediction | Failure]
Progress: TypeAlias = Callable[[Answers, int], Answers]
"""Shows the progress of the answers, given their number."""


def passed_selftest(bundle: Bundle, provider: Provider) -> Certificate:
    """Return the certificate of this machine.

    Raises:
        BackendError: ``acceptance_selftest``: the self-test failed.
    """
    certificate = selftest(bundle, provider)
    if not certificate.passed:
        raise BackendError(
            f"{certificate.bundle}: its self-test failed on this machine, so its answers are not those of the model. "
            "Run edge-bundle selftest and follow its remedy.",
            code="acceptance_selftest",
        )
    return certificate


def answer_cases(predictor: Predictor, folder: Path, workers: int, answers: AnswersFile, progress: Progress) -> None:
    """Answer the images that the file lacks, and append their answers.

    Args:
        predictor: the loaded model.
        folder: folder that contains the images.
        workers: number of images answered in parallel.
        answers: the open file.
        progress: see :data:`Progress`.

    Raises:
        MachineError: the machine failed at an image; the same command continues.
        AcceptanceError, ResultsWriteError: as in :meth:`AnswersFile.append`.
    """
    todo = answers.open_images
    sources = [_source(image, folder) for image in todo]
    for answer in progress(predictor.predict_all(sources, workers=workers), len(todo)):
        if isinstance(answer, Failure) and answer.of_machine:
            raise answer.error
        answers.append(answer)


def _source(image: CaseImage, folder: Path) -> str | Marked:
    path = str(folder / image.path)
    return path if image.region is None else Marked(path, Region.parse(image.region))
