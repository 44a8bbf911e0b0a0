"""Run a site acceptance: fix the protocol, test the machine, answer the images, judge, and write the report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import __version__
from edge_runtime.assurance.acceptance import Acceptance, judge
from edge_runtime.assurance.answering import Progress, answer_cases, passed_selftest
from edge_runtime.assurance.answers_file import AnswersFile
from edge_runtime.assurance.cases import Case, read_cases
from edge_runtime.assurance.outcome import ImageAnswer, Outcome, outcome_of
from edge_runtime.assurance.page import page_of
from edge_runtime.assurance.protocol import Claims, Protocol, protocol_of
from edge_runtime.assurance.report import ANSWERS, PAGE, PROTOCOL, REPORT, REPORT_SIGNATURE, AcceptanceReport
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.bundle.signing.keys import read_private_key
from edge_runtime.bundle.signing.signatures import REPORT_DOMAIN, sign
from edge_runtime.errors import AcceptanceError, ManifestError, UsageError
from edge_runtime.inference.prediction import NOTICE, now
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.predictor import Predictor
from edge_runtime.serialisation.records import from_json, write_record

LIMITS = (
    "The result holds for cases like those of the list, on this device and software. It says nothing about other "
    "scanners, other patients or later times."
)


@dataclass(frozen=True)
class AcceptanceRequest:
    """What a person asks for.

    Attributes:
        folder: folder that contains the images.
        cases: CSV file of the cases (:mod:`edge_runtime.assurance.cases`).
        claims: what has to be shown.
        out: folder for protocol, answers and report; an interrupted acceptance continues in it.
        workers: number of images answered in parallel.
        sign_key: private key that signs the report; None for no signature.
    """

    folder: Path
    cases: Path
    claims: Claims
    out: Path
    workers: int = 1
    sign_key: Path | None = None


def accept(
    request: AcceptanceRequest,
    predictor: Predictor,
    bundle: Bundle,
    say: Callable[[str], None],
    progress: Progress,
) -> AcceptanceReport:
    """Run the acceptance and write its files; see :class:`AcceptanceRequest`.

    Args:
        request: what is asked for.
        predictor: the loaded model.
        bundle: its bundle, for the self-test.
        say: receives lines for people.
        progress: shows the progress of the answers, given their number.

    Raises:
        AcceptanceError: the cases are invalid, or protocol, labels, images or model changed after the protocol was
            fixed.
        BackendError: the self-test failed on this machine, so its answers are not those of the model.
        MachineError: the machine failed at an image; the same command continues.
    """
    if request.sign_key is not None:
        read_private_key(request.sign_key)  # a key that cannot sign is reported before the images are answered
    cases = read_cases(request.cases, request.folder, predictor.spec)
    protocol = protocol_of(predictor, request.claims, cases)
    _fix(protocol, request.out, say)
    certificate = passed_selftest(bundle, predictor.provider)
    with AnswersFile(request.out / ANSWERS, cases, predictor.digest) as answers:
        answer_cases(predictor, request.folder, request.workers, answers, progress)
        result = _judged(cases, answers.answers, predictor.spec.policy, request.claims)
    report = AcceptanceReport(
        protocol,
        protocol.sha256,
        hashlib.sha256((request.out / ANSWERS).read_bytes()).hexdigest(),
        now(),
        f"edge-predict {__version__}",
        result,
        certificate,
        f"{NOTICE} {LIMITS}",
    )
    _write(report, request.out, request.sign_key)
    return report


def _fix(protocol: Protocol, out: Path, say: Callable[[str], None]) -> None:
    """Write the protocol, or check that it is the one that was written before."""
    path = out / PROTOCOL
    try:
        if path.exists():
            before = from_json(Protocol, path.read_bytes(), str(path))
        else:
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise AcceptanceError(
                    f"{out}: found files without {PROTOCOL}, expected an empty folder. Name another --out."
                )
            write_record(path, protocol)
            say(f"{path}: protocol fixed, SHA-256 {protocol.sha256}")
            return
    except ManifestError as error:
        raise AcceptanceError(error.message, code="acceptance_protocol_invalid") from None
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror}). Name another --out.") from None
    if changed := before.differences(protocol):
        names = ", ".join("labels, subgroups or images (cases)" if name == "cases" else name for name in changed)
        raise AcceptanceError(
            f"{path}: found another protocol than this command asks for ({names}), and it was fixed before the first "
            "answer. Repeat the command as it was, or start again with another --out.",
            code="acceptance_protocol_changed",
        )
    say(f"{path}: continues, protocol SHA-256 {protocol.sha256}")


def _judged(
    cases: Sequence[Case], answers: Sequence[ImageAnswer], policy: DecisionPolicy, claims: Claims
) -> Acceptance:
    outcomes: list[Outcome] = []
    rest = iter(answers)
    for case in cases:
        outcomes.append(outcome_of(case, [next(rest) for _ in case.images], policy, claims))
    return judge(outcomes, claims, Counter(answer.reason for answer in answers if answer.decision is None))


def _write(report: AcceptanceReport, out: Path, sign_key: Path | None) -> None:
    content = report.to_bytes()
    try:
        write_whole(out / PAGE, page_of(report).encode("utf-8"))
        write_whole(out / REPORT, content)
        if sign_key is not None:
            write_whole(out / REPORT_SIGNATURE, sign(content, sign_key, REPORT_DOMAIN))
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror}). Free space and repeat the command.") from None
