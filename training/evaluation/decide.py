"""Writes a copy of an artifact with a policy fitted on its validation patients, and measures it again."""

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
from training.evaluation.familiarity import FittedFamiliarity, fit_familiarity, see
from training.evaluation.measure import compare
from training.evaluation.network_familiarity import FeatureExtractor, fit_network_familiarity
from training.metrics.classwise import ClassOutcomes
from training.policy.cases import CaseEvaluation, evaluate_cases
from training.policy.policy import FittedPolicy, PolicyTarget, calibration_error, fit_policy


@dataclass(frozen=True)
class PolicyReport:
    """The fitted policy, and its results on test patients.

    Attributes:
        evaluations: of network and baseline on validation and test, under the new policy.
        calibration: expected calibration error on test, 0..1, before and after the fit.
        cases: metrics of the case rule on test patients; None where the policy has no rule.
    """

    artifact: Artifact
    fitted: FittedPolicy
    evaluations: tuple[Evaluation, ...]
    calibration: tuple[float, float]
    cases: CaseEvaluation | None


@dataclass(frozen=True)
class FamiliarityTarget:
    """How to fit the out-of-distribution check, which JSON calls ``familiarity``.

    Attributes:
        share: tolerated share (0..1) of a patient's in-distribution images that the check refers.
        whole: check the whole image that contains a region, not the square that is cut out of it.
    """

    share: float
    whole: bool = False

    def check(self, spec: ModelSpec) -> None:
        """Check that the target is possible for this model.

        Raises:
            DatasetError: ``whole`` is set, and the model does not use regions.
        """
        if self.whole and spec.region is None:
            raise DatasetError(
                f"{spec.name}: found --whole for a model of whole images, expected a model of regions. "
                "Leave --whole out: the check uses the whole image in any case."
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
    """Fit a policy on validation patients and write a copy of ``artifact`` with it to ``out``.

    Args:
        data: folder with the published layout, on which the artifact was fitted.
        out: folder of the new artifact; ``artifact`` does not change.
        target: requirements for the policy.
        familiar: target of the out-of-distribution check; None keeps the check of the spec. The metrics measured
            here do not use the check: they are of all images.
        strict: reject data with an image that cannot be read, instead of skipping it.

    Raises:
        ArtifactError: ``artifact`` is incomplete, ``out`` already contains files, or the disk is full.
        DatasetError: the data do not match the layout, or no policy or check meets the targets.
    """
    old = artifact.measured()
    if familiar is not None:
        familiar.check(artifact.spec())
    new = create(out)
    opened = OpenArtifact(artifact, data, strict=strict)
    found = {part: opened.answer(opened.samples(part.value), part.value) for part in (Part.VALIDATION, Part.TEST)}
    fitted = fit_policy(found[Part.VALIDATION].outcome, target)
    spec = replace(opened.spec, policy=fitted.policy)
    if familiar is not None:
        known = _fit_check(opened, found[Part.VALIDATION].tensors, familiar, strict=strict)
        spec = replace(spec, familiarity=known.familiarity)
        fitted = replace(fitted, basis=f"{fitted.basis} {known.basis}")
    evaluations = _evaluations(opened, found, spec, strict=strict)
    measured = replace(old, training=replace(old.training, policy=fitted.basis), evaluations=evaluations)
    _write(artifact, new, spec, measured)
    before, after = found[Part.TEST].outcome, found[Part.TEST].outcome.under(fitted.policy)
    errors = calibration_error(before), calibration_error(after)
    return PolicyReport(new, fitted, evaluations, errors, _cases(after))


def _fit_check(
    opened: OpenArtifact, validation: Tensors, target: FamiliarityTarget, *, strict: bool
) -> FittedFamiliarity:
    """Fit the out-of-distribution check: on the recipe's feature map if it names one, else on image statistics."""
    layer = opened.recipe.familiar
    if layer is None or target.whole:
        own = [s for part in (Part.TRAIN, Part.VALIDATION) for s in opened.samples(part.value)]
        return fit_familiarity(see(own, opened.spec, whole=target.whole), target.share)
    extractor = FeatureExtractor(opened.network, layer.name)
    train = load_tensors(opened.samples(Part.TRAIN.value), opened.spec, label=Part.TRAIN.value, strict=strict)
    return fit_network_familiarity(extractor.see(train), extractor.see(validation), layer, target.share)


def _evaluations(
    opened: OpenArtifact, found: dict[Part, ArtifactOutputs], spec: ModelSpec, *, strict: bool
) -> tuple[Evaluation, ...]:
    """Measure the network, and the baseline where training patients are in the data, as a fit does."""
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
    reason = why_not_written(path, error)
    return ArtifactError(f"{reason} Free space, remove {path.parent} and decide again.")
