"""Calibrate a model for a site: answer the cases, fit, validate, and write a site policy if it is shown to help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import __version__
from edge_runtime.assurance.answering import Progress, answer_cases, passed_selftest
from edge_runtime.assurance.answers_file import AnswersFile
from edge_runtime.assurance.calibration.case_scores import CaseAnswers, case_answers
from edge_runtime.assurance.calibration.fitting import fit, log_loss
from edge_runtime.assurance.calibration.target import SiteTarget
from edge_runtime.assurance.calibration.validation import FOLDS, Evidence, validate
from edge_runtime.assurance.cases import Case, cases_hash, read_cases
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.bundle.registry.site_pointers import next_version
from edge_runtime.bundle.signing.keys import read_private_key
from edge_runtime.bundle.signing.signatures import SITE_POLICY_DOMAIN, sign
from edge_runtime.bundle.site_policy import SCHEMA, Basis, SitePolicy, Thresholds, check_name
from edge_runtime.bundle.site_policy_file import FILE, read_site_policy, signature_path
from edge_runtime.errors import CalibrationError, SitePolicyError, UsageError
from edge_runtime.inference.prediction import NOTICE, now
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.predictor import Predictor
from edge_runtime.serialisation.records import canonical_json

ANSWERS, TRIES = "calibration.jsonl", "tries.txt"
LIMITS = (
    "The thresholds hold for cases like those that they were fitted on. They say nothing about other scanners, other "
    "patients or later times. Accept the model on other cases before use."
)


@dataclass(frozen=True)
class CalibrationRequest:
    """What a person asks for.

    Attributes:
        folder: folder that contains the images.
        cases: CSV file of the cases (:mod:`edge_runtime.assurance.cases`).
        target: what the thresholds are fitted for.
        out: folder for answers and site policy; an interrupted calibration continues in it.
        name: the site's name of the policy.
        workers: number of images answered in parallel.
        sign_key: private key that signs the policy; None for no signature.
    """

    folder: Path
    cases: Path
    target: SiteTarget
    out: Path
    name: str = "site"
    workers: int = 1
    sign_key: Path | None = None


@dataclass(frozen=True)
class Calibration:
    """The result.

    Attributes:
        evidence: whether the thresholds help, with figures.
        before, after: the bundle's policy, and the one fitted on all cases.
        policy: the site policy; None if it is not shown to help.
        path: file that the policy is written to; None without one.
    """

    evidence: Evidence
    before: DecisionPolicy
    after: DecisionPolicy
    policy: SitePolicy | None
    path: Path | None


def calibrate(request: CalibrationRequest, predictor: Predictor, bundle: Bundle, progress: Progress) -> Calibration:
    """Run the calibration and write the site policy, if it is shown to help.

    Args:
        request: what is asked for.
        predictor: the model, loaded without a site policy, float32 file first: near any threshold that file decides.
        bundle: its bundle, for the self-test.
        progress: shows the progress of the answers.

    Raises:
        CalibrationError: too few cases, no thresholds meet the target, or the folder has other files.
        AcceptanceError: the cases are invalid, or images or model changed after they were answered.
        BackendError: the self-test failed on this machine.
        MachineError: the machine failed at an image; the same command continues.
        UsageError: the name is invalid, or the folder cannot be written.
    """
    _check(request)
    cases = read_cases(request.cases, request.folder, predictor.spec)
    passed_selftest(bundle, predictor.provider)
    _prepare(request.out)
    with AnswersFile(request.out / ANSWERS, cases, predictor.digest) as file:
        answer_cases(predictor, request.folder, request.workers, file, progress)
        answers = case_answers(cases, file.answers, predictor.spec)
    tries = _tries(request, cases)
    evidence = validate(answers, [case.name for case in cases], request.target, tries)
    after = fit(answers, request.target)
    if not evidence.helps:
        return Calibration(evidence, predictor.spec.policy, after, None, None)
    policy = _policy(request, predictor, cases, answers, evidence, after)
    return Calibration(evidence, predictor.spec.policy, after, policy, _write(policy, request))


def _check(request: CalibrationRequest) -> None:
    """Report what can be wrong before the images are answered."""
    try:
        check_name(request.name)
    except ValueError as error:
        raise UsageError(f"--name: {error}") from None
    if request.sign_key is not None:
        read_private_key(request.sign_key)


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        foreign = not (out / ANSWERS).exists() and any(out.iterdir())
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror}). Name another --out.") from None
    if foreign:
        raise CalibrationError(
            f"{out}: found files without {ANSWERS}, expected an empty folder. Name another --out.",
            code="calibration_folder",
        )


def _tries(request: CalibrationRequest, cases: Sequence[Case]) -> int:
    """Return the number of different targets that were tried on the answers in the folder, and note this one."""
    path, this = request.out / TRIES, f"{cases_hash(cases)} {canonical_json(request.target)}"
    try:
        before = path.read_text("utf-8").splitlines() if path.exists() else []
        noted = list(dict.fromkeys((*before, this)))
        write_whole(path, "".join(f"{line}\n" for line in noted).encode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}). Name another --out.") from None
    return len(noted)


def _policy(
    request: CalibrationRequest,
    predictor: Predictor,
    cases: Sequence[Case],
    answers: CaseAnswers,
    evidence: Evidence,
    after: DecisionPolicy,
) -> SitePolicy:
    spec, target, positive = predictor.spec, request.target, int(answers.positive.sum())
    return SitePolicy(
        schema=SCHEMA,
        name=request.name,
        version=_version(spec.name, request.out),
        model=spec.name,
        model_version=spec.version,
        bundle=predictor.digest,
        contract=spec.contract,
        thresholds=Thresholds.of(after),
        replaced=Thresholds.of(spec.policy),
        target=target.text(),
        method=_method(answers, after, target),
        cases=Basis(
            cases_hash(cases),
            positive,
            len(cases) - positive,
            sum(len(case.images) for case in cases),
            target.referred.value,
            target.failed.value,
        ),
        validation=evidence.validation,
        date=now(),
        software=f"edge-predict {__version__}",
        notice=f"{NOTICE} {LIMITS}",
    )


def _method(answers: CaseAnswers, after: DecisionPolicy, target: SiteTarget) -> str:
    before = answers.spec.policy
    floor = "carried over to the new temperature, so that the same images are referred"
    if target.max_error is not None:
        floor = "the lowest whose error among decided cases has an upper 95 % bound (Clopper and Pearson) in the target"
    return (
        f"Fitted by case on the scores of the float32 file. Temperature: the smallest negative log-likelihood of the "
        f"cases (Guo et al. 2017), {log_loss(answers, before):.4f} before and {log_loss(answers, after):.4f} after on "
        f"the cases of the fit. Confidence floor: {floor}. Cut-off: {target.text()} The figures are of {FOLDS}-fold "
        "cross-validation over cases, in which the whole fit is repeated without the cases that it decides."
    )


def _version(model: str, out: Path) -> int:
    """Return the next version: above the installed ones, and above one that the folder has."""
    try:
        there = read_site_policy(out / FILE).policy.version if (out / FILE).exists() else 0
    except SitePolicyError:
        there = 0
    return max(next_version(model), there + 1)


def _write(policy: SitePolicy, request: CalibrationRequest) -> Path:
    path, content = request.out / FILE, policy.to_bytes()
    try:
        signature_path(path).unlink(missing_ok=True)
        write_whole(path, content)
        if request.sign_key is not None:
            write_whole(signature_path(path), sign(content, request.sign_key, SITE_POLICY_DOMAIN))
    except OSError as error:
        raise UsageError(f"{request.out}: cannot be written ({error.strerror}). Name another --out.") from None
    return path
