"""The command ``edge-predict accept``: show on a site's own labelled cases whether a model is good enough."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge_runtime.assurance.accept import AcceptanceRequest, accept
from edge_runtime.assurance.acceptance import Acceptance, Claim
from edge_runtime.assurance.audit.recorder import PERIOD_S
from edge_runtime.assurance.binomial import cases_needed
from edge_runtime.assurance.protocol import Claims, Counting
from edge_runtime.assurance.report import PAGE, REPORT, verify
from edge_runtime.bundle.bundle import find, key_in_force
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.cli.cases_options import FILE, FOLDER, SHARE, cases_options
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED, Command, stops_command
from edge_runtime.cli.options import site_policy_option
from edge_runtime.cli.output import say, tell
from edge_runtime.cli.recording import audit_option, counted_progress, recording
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.predictor import Predictor

_EXIT_CODES = """\b
Exit status:
  0    every floor is shown
  1    a floor is not shown, or the model is below it
  2    the command line, the cases or the protocol is invalid, or changed
  3    the model cannot be trusted, or has no golden vectors
  4    no interpreter can run the model here, or its self-test failed
  6    the machine failed; the same command continues"""
_FLOORS = (0.80, 0.85, 0.90, 0.95)
_TRUTHS = (0.90, 0.95, 0.98)


@click.command(cls=Command, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", metavar="FOLDER", required=False, type=FOLDER)
@click.option("--cases", type=FILE, metavar="CSV", help="List of the cases, with the columns case, image and label.")
@click.option("--out", type=FOLDER, metavar="FOLDER", help="Folder for protocol, answers and report.")
@click.option("--sensitivity-floor", type=SHARE, metavar="SHARE", help="Sensitivity that has to be shown.")
@click.option("--specificity-floor", type=SHARE, metavar="SHARE", help="Specificity that has to be shown.")
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    metavar="SHARE",
    help="Confidence of each one-sided lower bound.",
)
@cases_options
@site_policy_option
@audit_option
@click.option("--sign-key", type=FILE, metavar="PRIVATE", help="Sign the report with this private key.")
@click.option("--verify", "verified", type=FOLDER, metavar="FOLDER", help="Check the signature of a report.")
@click.option("--key", type=FILE, metavar="PUBLIC", help="With --verify, the public key.")
@click.option("--table", is_flag=True, help="Print how many cases a floor needs.")
def command(
    folder: Path | None,
    cases: Path | None,
    out: Path | None,
    sensitivity_floor: float | None,
    specificity_floor: float | None,
    confidence: float,
    referred: str,
    failed: str,
    model: str | None,
    backend: str,
    workers: int,
    site_policy: Path | None,
    audit: Path | None,
    sign_key: Path | None,
    verified: Path | None,
    key: Path | None,
    table: bool,
) -> None:
    """Accept a model for a site, on the site's own labelled cases in FOLDER.

    The protocol is written and hashed before the first answer. An interrupted run continues with the same command. A
    case, not an image, is counted. Too few cases give "not shown", which is no pass.
    """
    with stops_command():
        if table:
            say(needs(confidence))
            return
        if verified is not None:
            _verify(verified, key)
            return
        if folder is None or cases is None or out is None:
            raise click.UsageError("Expected FOLDER, --cases CSV and --out FOLDER, or --verify FOLDER, or --table.")
        claims = Claims(sensitivity_floor, specificity_floor, confidence, Counting(referred), Counting(failed))
        request = AcceptanceRequest(folder, cases, claims, out, workers, sign_key)
        name = model_in_force() if model is None else model
        with (
            recording("edge-predict accept", audit, PERIOD_S, None) as recorder,
            Predictor.load(name, backend=Runtime(backend), site_policy=site_policy) as predictor,
        ):
            bundle = find(name, trusted_key=key_in_force())
            report = accept(request, predictor, bundle, tell, counted_progress(recorder, predictor))
            say(describe(report.result))
            tell(f"{out / PAGE}, {out / REPORT}: the report.")
            if not report.result.accepted:
                sys.exit(EXIT_SOME_FAILED)


def describe(result: Acceptance) -> str:
    """Return the result as text for people."""
    lines = [_line(claim) for claim in result.claims]
    lines += [f"note         {note}" for note in result.notes]
    lines += [f"rejected     {count} images: {code}" for code, count in result.rejected.items()]
    return "\n".join([*lines, f"result       {'accepted' if result.accepted else 'NOT ACCEPTED'}"])


def needs(confidence: float) -> str:
    """Return the numbers of cases that floors need, computed for a power of 0.8, as a table."""
    lines = [
        f"Cases that show a floor with a confidence of {confidence:g} and a power of 0.8, and the errors allowed",
        "floor   " + "".join(f"true {truth:.2f}    " for truth in _TRUTHS),
    ]
    for floor in _FLOORS:
        row = (cases_needed(floor, truth, confidence) if floor < truth else None for truth in _TRUTHS)
        lines.append(f"{floor:.2f}    " + "".join(f"{f'{n.cases} ({n.misses})' if n else '–':13}" for n in row))
    return "\n".join(line.rstrip() for line in lines)


def _line(claim: Claim) -> str:
    share = claim.share
    if share.value is None:
        return f"{claim.name:12} no case"
    figure = f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}], {share.right} of {share.cases} cases"
    if claim.floor is None or claim.finding is None:
        return f"{claim.name:12} {figure}"
    return f"{claim.name:12} {figure}; lower bound {claim.lower:.3f}, floor {claim.floor:g}: {claim.finding.value}"


def _verify(folder: Path, key: Path | None) -> None:
    if key is None:
        raise click.UsageError("--verify needs --key PUBLIC, the key that is trusted.")
    report, signer = verify(folder, key)
    say(f"{folder / REPORT}: signed by key {signer.fingerprint[:16]}, protocol {report.protocol_sha256}")
    say(describe(report.result))
