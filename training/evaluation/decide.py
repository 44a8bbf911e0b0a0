"""Writes a copy of an artifact with a policy fitted on its validation patients, and measures it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.metrics import SiteFigures
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.platform.atomic_files import write_whole
from training.artifact import Artifact, MeasuredFigures, create
from training.data.datasets import Dataset
from training.data.splits import Part
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError, DatasetError, why_not_written
from training.evaluation.artifact_runner import ArtifactOutputs, OpenArtifact
from training.evaluation.familiarity import FittedFamiliarity, fit_familiarity, see
from training.evaluation.measure import compare
from training.evaluation.network_familiarity import fit_check_of_network
from training.evaluation.sites import site_figures
from training.metrics.classwise import ClassOutcomes
from training.metrics.sites import NeverSeen
from training.policy.cases import CaseEvaluation, evaluate_cases
from training.policy.policy import FittedPolicy, PolicyTarget, calibration_error, fit_policy
from training.recipes.recipe import Recipe


@dataclass(frozen=True)
class PolicyReport:
    """The fitted policy, and its results on test patients.

    Attributes:
        part: the part on which calibration and cases were measured: test, or validation if there is no test part.
        evaluations: of network and baseline on validation and test, under the new policy; then of cross-validation.
        calibration: expected calibration error on ``part``, 0..1, before and after the fit.
        cases: metrics of the case rule on the patients of ``part``; None where the policy has no rule.
        sites: figures by site and scanner; empty where no never-seen ones were given.
    """

    artifact: Artifact
    fitted: FittedPolicy
    part: Part
    evaluations: tuple[Evaluation, ...]
    calibration: tuple[float, float]
    cases: CaseEvaluation | None
    sites: tuple[SiteFigures, ...] = ()


@dataclass(frozen=True)
class CrossValidatedFigures:
    """Pooled figures of all folds of a cross-validation, under one decision policy.

    Attributes:
        folds: number of networks. None of them is the model whose artifact holds the figures.
        evaluations: of the networks and of the baseline.
    """

    folds: int
    evaluations: tuple[Evaluation, ...]


CrossValidation = Callable[[Recipe, ModelSpec, Dataset], CrossValidatedFigures]
"""Measures a finished cross-validation of a recipe on a data set, under the policy of a spec."""


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
    never_seen: Sequence[Sequence[NeverSeen]] = (),
    cross_validation: CrossValidation | None = None,
    strict: bool = False,
) -> PolicyReport:
    """Fit a policy on validation patients and write a copy of ``artifact`` with it to ``out``.

    Args:
        data: folder with the published layout, on which the artifact was fitted.
        out: folder of the new artifact; ``artifact`` does not change.
        target: requirements for the policy.
        familiar: target of the out-of-distribution check; None keeps the check of the spec. The metrics measured
            here do not use the check: they are of all images.
        never_seen: folds of ``crossvalidate --leave-out``, for each trait that was left out. Their figures are kept by
            site and scanner, beside those of test patients. Without folds, figures kept earlier are dropped, because
            they belong to another policy.
        cross_validation: a finished cross-validation of the recipe, whose figures under the fitted policy are added
            (:mod:`training.experiments.cross_validated_figures`); for a model without a test part.
        strict: reject data with an image that cannot be read, instead of skipping it.

    Raises:
        ArtifactError: ``artifact`` is incomplete, ``out`` already contains files, the disk is full, or
            ``never_seen`` is not of these data.
        DatasetError: the data do not match the layout, or no policy or check meets the targets.
    """
    old = artifact.measured()
    if familiar is not None:
        familiar.check(artifact.spec())
    new = create(out)
    opened = OpenArtifact(artifact, data, strict=strict)
    held_out = (Part.VALIDATION, Part.TEST) if opened.has_test else (Part.VALIDATION,)
    found = {part: opened.answer(opened.samples(part.value), part.value) for part in held_out}
    fitted = fit_policy(found[Part.VALIDATION].outcome, target)
    spec = replace(opened.spec, policy=fitted.policy)
    if familiar is not None:
        known = _fit_check(opened, found[Part.VALIDATION].tensors, familiar, strict=strict)
        spec = replace(spec, familiarity=known.familiarity)
        fitted = replace(fitted, basis=f"{fitted.basis} {known.basis}")
    evaluations = _evaluations(opened, found, spec, strict=strict)
    training = replace(old.training, policy=fitted.basis)
    if cross_validation is not None:
        crossed = cross_validation(opened.recipe, spec, opened.dataset)
        evaluations += crossed.evaluations
        training = replace(training, folds=crossed.folds)
    part = held_out[-1]
    before, after = found[part].outcome, found[part].outcome.under(fitted.policy)
    sites = site_figures(never_seen, after, found[part].tensors.samples, opened.dataset) if never_seen else None
    _write(artifact, new, spec, replace(old, training=training, evaluations=evaluations, sites=sites))
    errors = calibration_error(before), calibration_error(after)
    return PolicyReport(new, fitted, part, evaluations, errors, _cases(after), sites or ())


def _fit_check(
    opened: OpenArtifact, validation: Tensors, target: FamiliarityTarget, *, strict: bool
) -> FittedFamiliarity:
    """Fit the out-of-distribution check: on the recipe's feature map if it names one, else on image statistics."""
    layer = opened.recipe.familiar
    if layer is None or target.whole:
        own = [s for part in (Part.TRAIN, Part.VALIDATION) for s in opened.samples(part.value)]
        return fit_familiarity(see(own, opened.spec, whole=target.whole), target.share)
    train = load_tensors(opened.samples(Part.TRAIN.value), opened.spec, label=Part.TRAIN.value, strict=strict)
    traits = opened.dataset.traits
    return fit_check_of_network(opened.network, layer, opened.spec, train, validation, target.share, traits)


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
