"""Score one shard. Any process may do it at any time, and repeat it: the file of a finished shard is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from edge_runtime.archive.attempts import DEATHS, Attempts
from edge_runtime.archive.plan import Archive, open_archive
from edge_runtime.archive.reading import Content, contents
from edge_runtime.archive.record import ArchiveRecord
from edge_runtime.archive.shard import finished, write_shard
from edge_runtime.archive.table import row_of
from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.errors import EdgeError, ImageError, ImageUnreadableError, MachineError
from edge_runtime.images.discovery import may_be_dicom
from edge_runtime.inference.config import PredictorConfig
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.platform.machine_faults import machine_faults
from edge_runtime.predictor import Predictor


def score_shard(folder: str, shard: int) -> None:
    """Classify the images of a shard and write its file, unless the file exists.

    The model is loaded once for each process.

    Raises:
        ArchiveError: the plan or an existing file cannot be used, or the file is of another model.
        BundleError, BackendError: the model cannot be loaded, or is not the planned one.
        ArchiveWriteError: the folder cannot be written.
        MachineError: memory, descriptors or I/O failed at an image. Nothing is written; the shard can be tried again.
    """
    archive = open_archive(Path(folder))
    archive.check_shard(shard)
    if finished(archive, shard) is not None:
        return
    predictor = _predictor(archive.plan.model.config)
    with machine_faults(str(archive.attempt_path(shard))), Attempts(archive.attempt_path(shard)) as attempts:
        write_shard(archive, shard, list(_rows(archive, shard, predictor, attempts)))


@lru_cache(maxsize=1)
def _predictor(config: PredictorConfig) -> Predictor:
    return Predictor.from_config(config)


def _rows(archive: Archive, shard: int, predictor: Predictor, attempts: Attempts) -> Iterator[dict[str, Any]]:
    first = archive.plan.first(shard)
    numbers = count(first)
    read = contents(archive.records(shard), lambda: attempts.begin(next(numbers)))
    for number, (record, content) in enumerate(read, start=first):
        found = _killer(record) if number in attempts.killers else content
        answer = answered(predictor, record.image, found, archive.plan.frame)
        if isinstance(answer, Failure) and answer.of_machine:
            raise answer.error
        yield row_of(number, answer)


def answered(
    predictor: Predictor, name: str, content: Content, frame: FrameChoice | None = None
) -> Prediction | Failure:
    """Classify one image, as :meth:`Predictor.predict_all` does, under the name that the plan gives it.

    ``frame`` is asked of DICOM objects alone.
    """
    if isinstance(content, EdgeError):
        return Failure(name, content, bundle=predictor.digest)
    try:
        asked = frame if frame is not None and may_be_dicom(content) else None
        return predictor.predict(content, name=name, frame=asked)
    except (ImageError, MachineError) as error:
        return Failure(name, error, bundle=predictor.digest)


def _killer(record: ArchiveRecord) -> ImageUnreadableError:
    return ImageUnreadableError(
        f"{record.image}: the process died {DEATHS} times while it processed this image, expected a result. Check the "
        "image on another machine, raise the memory limit, then remove the shard and run it again.",
        code="image_kills_process",
    )
