"""From the bytes of one object to the bytes of its report and heatmap: the way of receiver and HTTP service alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.dicom.answer import AnyPredictor, DicomAnswer, answer
from edge_runtime.dicom.dataset import read_dataset, silent
from edge_runtime.dicom.header import SECONDARY_CAPTURE, ModelFacts, is_own_result, is_structured_report
from edge_runtime.dicom.heatmap import heatmap_of
from edge_runtime.dicom.pixels import NAME
from edge_runtime.dicom.report import report_of
from edge_runtime.errors import MachineError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from edge_runtime.bundle.manifest import Manifest

_PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.11."


@dataclass(frozen=True)
class DicomResults:
    """What came of an object.

    Attributes:
        answer: prediction or refusal; None if the object is nothing to answer.
        instances: UID and bytes of each result, the report first.
    """

    answer: DicomAnswer | None = None
    instances: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)


def results_of(
    predictor: AnyPredictor, model: ModelFacts, content: bytes, frame: int | None = None, *, heatmap: bool = True
) -> DicomResults:
    """Answer one object.

    Args:
        predictor: a loaded model.
        model: what the results say of it.
        content: the bytes of a DICOM file.
        frame: frame number from 1; None for an object of one frame.
        heatmap: whether a heatmap is wanted.

    Raises:
        ImageError: no report can be made: the bytes are no DICOM object, or it lacks the UIDs to refer to.
        MachineError: the machine failed; another attempt may succeed.
        BackendError: as in :meth:`edge_runtime.Predictor.predict`.
    """
    source = read_dataset(content, NAME)
    with silent(NAME):
        if to_be_ignored(source, predictor):
            return DicomResults()
    found = answer(predictor, source, frame, explain=heatmap)
    if found.failure is not None and found.failure.of_machine:
        raise MachineError(found.failure.message, code=found.failure.code)
    with silent(NAME):
        made = [report_of(source, found, model), heatmap_of(source, found, model)]
        return DicomResults(found, tuple((str(each.SOPInstanceUID), _encoded(each)) for each in made if each))


def to_be_ignored(source: Dataset, predictor: AnyPredictor) -> bool:
    """Return whether an object is nothing to answer.

    These are reports, presentation states, this package's own results, and Secondary Captures unless the model accepts
    them.
    """
    sop_class = str(source.get("SOPClassUID", ""))
    if is_own_result(source) or is_structured_report(sop_class) or sop_class.startswith(_PRESENTATION_STATES):
        return True
    accepted = predictor.spec.dicom
    return sop_class == SECONDARY_CAPTURE and not (accepted is not None and accepted.accepts(sop_class))


def facts_of(manifest: Manifest, digest: str, site_policy: SitePolicyId | None = None) -> ModelFacts:
    """Return what results say of the model of a bundle.

    Args:
        manifest: of the bundle.
        digest: SHA-256 of its ``bundle.json``.
        site_policy: the site policy in force; None without one.
    """
    spec, training = manifest.spec, manifest.training
    research_only = training is not None and training.research_only
    return ModelFacts(spec.name, spec.version, spec.contract, digest, research_only, site_policy)


def _encoded(dataset: Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
