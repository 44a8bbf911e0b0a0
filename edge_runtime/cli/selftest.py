"""The command ``edge-bundle selftest``: compare this machine's results with those recorded at export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.bundle.bundle import find, key_in_force
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL, MODEL_VARIABLE
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED, Command, stops_command
from edge_runtime.cli.output import say, tell, write_file
from edge_runtime.cli.recording import audit_option, change_recorded
from edge_runtime.inference.backends.base import Provider
from edge_runtime.selftest.certificate import Certificate, Check, Step
from edge_runtime.selftest.replay import selftest

if TYPE_CHECKING:
    from edge_runtime.assurance.audit.events import SelfTested

_EXIT_CODES = """\b
Exit status:
  0    every step that ran gives the result that was recorded at export
  1    a step differs, or an installed interpreter does not run the model
  2    the command line is invalid
  3    the model cannot be trusted, or its bundle has no golden vectors
  4    no installed interpreter can run the model"""

_COUNTED = {
    Step.TENSOR: "images",
    Step.LOGITS: "logits",
    Step.DISTANCE: "distances",
    Step.DECISION: "decisions",
    Step.MAP: "maps",
}
_PACKAGES = {  # runtime → the package that ran the same file at export
    "litert": "ai-edge-litert",
    "tflite": "ai-edge-litert",
    "onnxruntime": "onnxruntime",
}


@click.command("selftest", cls=Command, epilog=_EXIT_CODES)
@click.argument("bundle", metavar="[NAME|FOLDER|ZIP]", default=DEFAULT_MODEL, envvar=MODEL_VARIABLE)
@click.option(
    "--provider",
    type=click.Choice([provider.value for provider in Provider]),
    default=Provider.CPU.value,
    show_default=True,
    help="The device that onnxruntime computes on. Any value except cpu tests only onnxruntime.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the certificate to FILE as JSON.",
)
@audit_option
def command(bundle: str, provider: str, json_file: str | None, audit: Path | None) -> None:
    """Test a model on this machine.

    The command replays the golden images of the bundle and compares bytes, tensors, logits and decisions with those
    recorded at export. It sends no data, and writes a file only with --json or --audit.
    """
    with stops_command(), change_recorded(audit) as record:
        found = find(bundle, trusted_key=key_in_force())
        certificate = selftest(found, Provider(provider))
        record(lambda: _event(certificate, found.digest))
        if json_file is not None:
            write_file(Path(json_file), certificate.json)
        say(describe(certificate))
        for check in certificate.failed():
            tell(f"failed: {_where(check)}: {_finding(check)} {remedy(check, found.manifest)}")
    if not certificate.passed:
        sys.exit(EXIT_SOME_FAILED)


def _event(certificate: Certificate, bundle: str) -> SelfTested:
    from edge_runtime.assurance.audit.events import SelfTested

    failed = tuple(f"{check.step.value} {_where(check)}" for check in certificate.failed())
    passed = certificate.passed
    return SelfTested(certificate.bundle, certificate.version, bundle, certificate.sha256, passed, failed)


def describe(certificate: Certificate) -> str:
    """Return the certificate as text: the machine, one line per check, and the files that were not run."""
    machine = certificate.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = [
        f"bundle    {certificate.bundle} {certificate.version}, contract {certificate.contract[:12]}",
        f"machine   {machine.processor} ({machine.architecture}), {machine.system}",
        f"software  Python {machine.python}, {versions}",
    ]
    lines += [f"{check.step.value:9} {_where(check):40} {_finding(check)}" for check in certificate.checks]
    lines += [f"not run   {missing.file:40} install: {missing.remedy}" for missing in certificate.not_run]
    return "\n".join([*lines, f"result    {'passed' if certificate.passed else 'FAILED'}, {certificate.date}"])


def remedy(check: Check, manifest: Manifest) -> str:
    """Return the remedy for a check that did not pass."""
    made_with = manifest.toolchain
    if check.problem:
        return "Repair or uninstall that interpreter, then test again."
    if check.step is Step.TENSOR:
        numpy, opencv = made_with.get("numpy", "?"), made_with.get("opencv-python-headless", "?")
        return (
            f"Do not use the answers: preprocessing gives different values on this machine. The bundle was made with "
            f"numpy {numpy} and opencv-python-headless {opencv}; install those, then test again."
        )
    package = _PACKAGES[(check.runtime or "litert").partition("+")[0]]
    return (
        f"Do not use the answers of this interpreter here. The bundle was made with {package} "
        f"{made_with.get(package, '?')}; install that, or use another --backend or --provider, then test again."
    )


def _where(check: Check) -> str:
    on = f" on {check.runtime}" if check.runtime else ""
    return check.subject + on


def _finding(check: Check) -> str:
    """Return the result of a check as text."""
    if check.problem:
        return f"does not run: {check.problem}"
    if check.differing == 0:
        return f"same ({check.values} {_COUNTED[check.step]})"
    if check.step is Step.DECISION:
        return f"DIFFERS: {check.differing} of {check.values} decisions, the first of {check.picture}."
    return f"{'differs' if check.passed else 'DIFFERS'} {_amount(check)}"


def _amount(check: Check) -> str:
    not_finite = check.difference is None or check.largest is None
    by = "with NaN or infinity" if check.largest is None or not_finite else f"by up to {check.largest:.3g}"
    if check.step is Step.TENSOR and check.difference == 0:
        by = "outside the sampled values (another SHA-256)"
    counted = f"{check.differing} of {check.values} {_COUNTED[check.step]}"
    judged = "none" if check.difference is None else f"{check.difference:.3g}"
    return f"in {counted} {by} (judged: {judged}, tolerance {check.tolerance:.3g}), most in {check.picture}."
