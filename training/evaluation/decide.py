"""Fit a decision policy on an artifact's validation patients, and measure the same network again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.platform.atomic_files import write_whole
from training.artifact import Artifact, MeasuredFigures, create
from training.data.splits import Part
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError, DatasetError, why_not_written
from training.evaluation.artifact_runner import ArtifactOutputs, OpenArtifact
from training.evaluation.familiarity import fit_familiarity, see
from training.evaluation.measure import compare
from training.metrics.classwise import ClassOutcomes
from training.policy.cases import CaseEvaluation, evaluate_cases
from training.policy.policy import FittedPolicy, PolicyTarget, calibration_error, fit_policy


@dataclass(frozen=True)
class PolicyReport:
    """The fitted policy, and its figures on held-out patients.

    Attributes:
        evaluations: of validation and test under the new policy, networks and baselines.
        calibration: expected calibration error on test, 0..1, before and after.
        cases: the case rule on test patients; None where the policy has none.
    """

    artifact: Artifact
    fitted: FittedPolicy
    evaluations: tuple[Evaluation, ...]
    calibration: tuple[float, float]
    cases: CaseEvaluation | None


@dataclass(frozen=True)
class FamiliarityTarget:
    """Settings for fitting the out-of-distribution check (``familiarity``).

    Attributes:
        share: of a patient's own images (0..1) that may be referred as unlike the model's own.
        whole: judge the image that a region lies in, and not the square that is cut out of it.
    """

    share: float
    whole: bool = False

    def check(self, spec: ModelSpec) -> None:
        """Raises: DatasetError: the whole image is to be judged, and the model knows no other."""
        if self.whole and spec.region is None:
            raise DatasetError(
                f"{spec.name}: found --whole for a model that is shown whole images, expected one that is asked "
                "about regions. Leave --whole out; the image is judged as it is."
            )


def decide(
    artifact: Artifact,
    data: Path,
    out: Path,
    target: PolicyTarget,
    *,
    familiar: FamiliarityTarget | None = None,
    strict: bool = False,
) -> PolicyReport:
    """Fit a policy on validation patients and write the artifact with it to ``out``; ``artifact`` is not changed.

    Args:
        data: the published layout on which the artifact was fitted.
        familiar: which images the model is for; None keeps what the spec says about it. The figures measured here
            leave it aside: they are of all images.
        strict: refuse data with an image that cannot be read, instead of skipping it.

    Raises:
        ArtifactError: ``artifact`` is incomplete, ``out`` already holds files, or the disk is full.
        DatasetError: the data are not what the layout promises, or they or the model do not allow what is asked.
    """
    was = artifact.measured()
    if familiar is not None:
        familiar.check(artifact.spec())
    new = create(out)
    opened = OpenArtifact(artifact, data, strict=strict)
    found = {part: opened.answer(opened.samples(part.value), part.value) for part in (Part.VALIDATION, Part.TEST)}
    fitted = fit_policy(found[Part.VALIDATION].outcome, target)
    spec = replace(opened.spec, policy=fitted.policy)
    if familiar is not None:
        own = [s for part in (Part.TRAIN, Part.VALIDATION) for s in opened.samples(part.value)]
        known = fit_familiarity(see(own, spec, whole=familiar.whole), familiar.share)
        spec = replace(spec, familiarity=known.familiarity)
        fitted = replace(fitted, basis=f"{fitted.basis} {known.basis}")
    evaluations = _evaluations(opened, found, spec, strict=strict)
    measured = replace(was, training=replace(was.training, policy=fitted.basis), evaluations=evaluations)
    _write(artifact, new, spec, measured)
    before, after = found[Part.TEST].outcome, found[Part.TEST].outcome.under(fitted.policy)
    errors = calibration_error(before), calibration_error(after)
    return PolicyReport(new, fitted, evaluations, errors, _cases(after))


def _evaluations(
    opened: OpenArtifact, found: dict[Part, ArtifactOutputs], spec: ModelSpec, *, strict: bool
) -> tuple[Evaluation, ...]:
    """Measure the network, and the baseline if the training patients are in the data."""
    seen = opened.present(Part.TRAIN)
    train: Tensors | None = load_tensors(seen, spec, label=Part.TRAIN.value, strict=strict) if seen else None
    evaluations: list[Evaluation] = []
    for part, answers in found.items():
        evaluations += compare(answers.logits, train, answers.tensors, spec, part.value, opened.dataset.traits)
    return tuple(evaluations)


def _cases(outcome: ClassOutcomes) -> CaseEvaluation | None:
    rule = outcome.spec.policy.case
    return None if rule is None else evaluate_cases(outcome, rule)


def _write(old: Artifact, new: Artifact, spec: ModelSpec, measured: MeasuredFigures) -> None:
    for source, path in ((old.model_path, new.model_path), (old.history_path, new.history_path)):
        _copy(source, path)
    new.write_choices(spec, old.split())
    try:
        new.write_measured(measured)
    except OSError as error:
        raise _not_written(new.folder / "metrics.json", error) from error


def _copy(source: Path, path: Path) -> None:
    if not source.is_file():
        raise ArtifactError(f"{source}: missing, expected in every finished artifact. Fit the recipe again.")
    try:
        write_whole(path, lambda part: shutil.copyfile(source, part))
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> ArtifactError:
    said = why_not_written(path, error)
    return ArtifactError(f"{said} Free space, remove {path.parent} and decide again.")
