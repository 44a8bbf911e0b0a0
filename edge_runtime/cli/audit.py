"""The commands ``edge-bundle audit``: verify, show, rotate and sign an audit log."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edge_runtime.assurance.audit.checkpoint import checkpoint, read_checkpoint
from edge_runtime.assurance.audit.entry import SealedEntry
from edge_runtime.assurance.audit.periods import AuditHistory, ModelPeriod
from edge_runtime.assurance.audit.verification import Finding, Verification, verify, verify_log
from edge_runtime.bundle.bundle import TRUSTED_KEY, key_in_force
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED, Group, stops_command
from edge_runtime.cli.output import say, tell, write_file
from edge_runtime.cli.recording import AUDIT_LOG
from edge_runtime.errors import AuditError, UsageError
from edge_runtime.platform.escaped_names import shown
from edge_runtime.serialisation.records import to_dict

_SHOWN = 20
"""Largest number of faults, and of notes, that are listed."""
_SHORTEST = 16
_FILE = click.Path(dir_okay=False, path_type=Path)
_EXIT_CODES = """\b
Exit status:
  0    every entry is the one that was written, in its place
  1    lines were changed, removed, inserted or moved, or an expected
       entry is missing
  2    the command line, the log, a key or a checkpoint cannot be read
  3    a checkpoint is not signed by the trusted key
  5    the log or a file cannot be written"""
_log = click.argument("log", metavar="[FILE]", type=_FILE, envvar=AUDIT_LOG, required=True)


@click.group("audit", cls=Group, epilog=_EXIT_CODES)
def audit() -> None:
    """Verify an audit log: which model answered when.

    FILE is by default the log that EDGE_AUDIT_LOG names. Files that were
    rotated away and lie beside it are read first.
    """


@audit.command("verify")
@_log
@click.option("--expect", multiple=True, metavar="HASH", help="The hash of an entry that must be there. Repeatable.")
@click.option("--checkpoint", "signed", type=_FILE, metavar="CHECKPOINT", help="A signed hash that must be there.")
@click.option(
    "--key",
    "key",
    type=_FILE,
    metavar="PUBLIC",
    envvar=TRUSTED_KEY,
    show_envvar=True,
    help="The public key of the checkpoint.",
)
@click.option("--alone", is_flag=True, help="Read no rotated files.")
def verify_command(log: Path, expect: tuple[str, ...], signed: Path | None, key: Path | None, alone: bool) -> None:
    """Check every entry of a log and print the hash of the last one.

    Keep that hash elsewhere: with --expect it shows later that nothing was
    cut off or replaced.
    """
    with stops_command():
        expected = [_checked(each) for each in expect]
        if signed is not None:
            expected.append(_signed(signed, key))
        found = verify([log], expected) if alone else verify_log(log, expected)
        for row in rows(found):
            say(row)
    if not found.holds:
        sys.exit(EXIT_SOME_FAILED)


@audit.command()
@_log
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON lines, with their hashes.")
def show(log: Path, as_json: bool) -> None:
    """Show which models answered when, or the entries.

    A log that does not hold is shown as well, with exit status 1.
    """
    with stops_command():
        history = AuditHistory()

        def take(sealed: SealedEntry) -> None:
            if as_json:
                say(json.dumps({**to_dict(sealed.entry), "hash": sealed.hash}))
            history.take(sealed)

        found = verify_log(log, take=take)
        for row in () if as_json else periods(history):
            say(row)
        if not found.holds:
            tell(f"{log}: the chain does not hold. See: edge-bundle audit verify")
    if not found.holds:
        sys.exit(EXIT_SOME_FAILED)


@audit.command()
@_log
def rotate(log: Path) -> None:
    """Rename the file, and continue the chain in a new one.

    The name gets the number of its last entry. Running commands go on in the
    new file.
    """
    from edge_runtime.assurance.audit.log import AuditLog  # imported here, as it needs a POSIX system

    with stops_command():
        if not log.exists():
            raise AuditError(f"{log}: found no file, expected an audit log. Name its file.")
        aside = AuditLog(log).rotate()
        say(f"{shown(log)}: empty, nothing to rotate." if aside is None else f"{shown(aside)}: rotated.")


@audit.command()
@_log
@click.option("--key", "private", required=True, type=_FILE, metavar="PRIVATE", help="The private key.")
@click.option("--out", required=True, type=_FILE, metavar="CHECKPOINT", help="File for the signed hash.")
def sign(log: Path, private: Path, out: Path) -> None:
    """Verify a log, and sign the hash of its last entry.

    Do this where the key is, on a copy of the log. Keep CHECKPOINT away from
    the device.
    """
    with stops_command():
        found = verify_log(log)
        if found.head is None or not found.holds:
            raise UsageError(f"{log}: the chain does not hold, so it is not signed. See: edge-bundle audit verify")
        write_file(out, checkpoint(found.head, private))
        say(f"{shown(out)}: entry {found.head.number}, hash {found.head.hash}")


def rows(found: Verification) -> list[str]:
    """Return the report of a verification as lines."""
    lines = [f"entries   {found.entries:7}  in {found.files} {'file' if found.files == 1 else 'files'}"]
    if found.first is not None and found.head is not None:
        lines += [f"first     {found.first.number:7}  {found.first.hash}"]
        lines += [f"head      {found.head.number:7}  {found.head.hash}"]
    lines += [f"missing            expected entry {each}" for each in found.missing]
    lines += [*_listed("faults", found.faults), *_listed("notes", found.notes)]
    return [*lines, f"chain     {'holds' if found.holds else 'BROKEN'}"]


def periods(history: AuditHistory) -> list[str]:
    """Return the models and when they answered as lines."""
    return [row for period in history.periods for row in _of_period(period, history)]


def _of_period(period: ModelPeriod, history: AuditHistory) -> list[str]:
    model, end = period.model, period.end or "no end"
    lines = [
        f"{period.begin} to {end}  {model.model} {model.version}, {period.command}",
        f"    bundle {model.bundle}",
        f"    {period.software}, {model.backend}, {model.precision}{', fallback' if model.fallback else ''}",
    ]
    if model.site_policy is not None:
        lines.append(f"    site policy {model.site_policy}")
    tested = history.selftests.get(model.bundle)
    if model.certificate is not None:
        lines.append(f"    self-test of this run, certificate {model.certificate}")
    elif tested is not None:
        lines.append(f"    self-test {'passed' if tested.passed else 'FAILED'}, certificate {tested.certificate}")
    counts = [*sorted(period.decisions.items()), *sorted(period.failures.items())]
    lines += [f"    {count:7}  {name}" for name, count in counts]
    return lines + ([f"    {period.slides:7}  slides"] if period.slides else [])


def _listed(name: str, findings: list[Finding]) -> list[str]:
    lines = [f"{name:9} {len(findings):7}"]
    lines += [f"          {finding}" for finding in findings[:_SHOWN]]
    return lines + ([f"          and {len(findings) - _SHOWN} more"] if len(findings) > _SHOWN else [])


def _checked(text: str) -> str:
    """Return an expected hash, or its beginning.

    Raises:
        UsageError: it is neither.
    """
    if _SHORTEST <= len(text) <= 64 and not set(text) - set("0123456789abcdef"):
        return text
    raise UsageError(f"--expect: found {text[:70]!r}, expected 16 to 64 hexadecimal digits of a hash.")


def _signed(signed: Path, key: Path | None) -> str:
    trusted = key_in_force(key)
    if trusted is None:
        raise UsageError("--checkpoint needs the public key of its signature. Give --key PUBLIC.")
    return read_checkpoint(signed, trusted).hash
