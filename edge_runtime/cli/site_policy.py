"""The commands ``edge-bundle site-policy``: list, show, install, roll back and remove site policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.bundle.bundle import Bundle, find, is_name, key_in_force, shipped
from edge_runtime.bundle.registry.pointers import installed, store_folder
from edge_runtime.bundle.registry.site_pointers import installed_site_policy, read_site_pointer, site_policy_file
from edge_runtime.bundle.registry.site_policies import (
    install_site_policy,
    remove_site_policy,
    rollback_site_policy,
)
from edge_runtime.bundle.site_policy import SitePolicy, Thresholds
from edge_runtime.bundle.site_policy_file import LoadedSitePolicy, read_site_policy, signature_path
from edge_runtime.cli.exit_codes import Group, stops_command
from edge_runtime.cli.install import trusted_key_option
from edge_runtime.cli.output import say
from edge_runtime.cli.recording import audit_option, change_recorded
from edge_runtime.errors import BundleError, UsageError
from edge_runtime.platform.escaped_names import shown
from edge_runtime.serialisation.records import to_dict

if TYPE_CHECKING:
    from edge_runtime.assurance.audit.events import SitePolicyChanged
    from edge_runtime.assurance.calibration.calibrate import Calibration


@click.group("site-policy", cls=Group)
def group() -> None:
    """Manage the thresholds that a site has calibrated."""


@group.command("list")
def list_policies() -> None:
    """List the installed site policies, the one in force of each model first."""
    with stops_command():
        fault: BundleError | None = None
        for model in dict.fromkeys((*(each.name for each in installed()), *shipped())):
            try:
                for line in _rows(model):
                    say(line)
            except BundleError as error:
                say(f"{model}  CANNOT BE USED [{error.code}]")
                fault = fault or error
        if fault is not None:
            raise fault


@group.command()
@click.argument("policy", metavar="MODEL|FILE")
@click.option("--json", "as_json", is_flag=True, help="Print the file.")
@trusted_key_option
def show(policy: str, as_json: bool, key: Path | None) -> None:
    """Show the thresholds and figures of a site policy.

    With a public key, its signature is checked.
    """
    with stops_command():
        key = key_in_force(key)
        path = installed_site_policy(policy)
        found = read_site_policy(Path(policy) if path is None else path, key)
        say(json.dumps(to_dict(found.policy), indent=2) if as_json else describe(found, checked=key is not None))


@group.command("install")
@click.argument("policy", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@trusted_key_option
@audit_option
def install(policy: Path, key: Path | None, audit: Path | None) -> None:
    """Install a site policy; its thresholds decide from now on.

    The policy before is kept for rollback. An older version than any installed one is rejected.
    """
    with stops_command(), change_recorded(audit) as record:
        key = key_in_force(key)
        model = read_site_policy(policy, key).policy.model
        install_site_policy(policy, _bundle(model, key), key)
        record(lambda: site_policy_changed(model))
        say(_state(model))


@group.command("rollback")
@click.argument("model", metavar="MODEL")
@trusted_key_option
@audit_option
def rollback(model: str, key: Path | None, audit: Path | None) -> None:
    """Return to the site policy before. A second rollback undoes the first."""
    with stops_command(), change_recorded(audit) as record:
        key = key_in_force(key)
        rollback_site_policy(model, _bundle(model, key), key)
        record(lambda: site_policy_changed(model))
        say(_state(model))


@group.command("remove")
@click.argument("model", metavar="MODEL")
@audit_option
def remove(model: str, audit: Path | None) -> None:
    """Remove the site policies of a model.

    The model's own thresholds decide from then on, and its answers say that the site is uncalibrated.
    """
    with stops_command(), change_recorded(audit) as record:
        remove_site_policy(model)
        record(lambda: site_policy_changed(model))
        say(f"{shown(model)}: site policies removed; the model's own thresholds decide.")


def require_name(model: str) -> None:
    """Reject a path: a site policy is installed for a model's name.

    Raises:
        UsageError: ``model`` is no name of an installed or shipped model.
    """
    if not is_name(model):
        raise UsageError(f"{shown(model)}: found a path, expected the name of a model. Install the bundle first.")


def site_policy_changed(model: str) -> SitePolicyChanged:
    """Return the audit event of a change, after it was made."""
    from edge_runtime.assurance.audit.events import SitePolicyChanged

    path = installed_site_policy(model)
    if path is None:
        return SitePolicyChanged(model)
    found = read_site_policy(path)
    return SitePolicyChanged(model, found.policy.bundle, found.sha256)


def describe(found: LoadedSitePolicy, *, checked: bool = False) -> str:
    """Return a site policy as text: what it is for, its thresholds, cases and figures."""
    policy, cases = found.policy, found.policy.cases
    signed = "checked" if checked else "not checked" if signature_path(found.path).is_file() else "none"
    return "\n".join(
        [
            f"{policy.name} {policy.version} for {policy.model} {policy.model_version}",
            f"found        {shown(found.path)}",
            f"sha256       {found.sha256}",
            f"signature    {signed}",
            f"bundle       {policy.bundle}",
            f"thresholds   {_thresholds(policy.thresholds)}",
            f"instead of   {_thresholds(policy.replaced)}",
            f"target       {policy.target}",
            f"cases        {cases.positive} positive, {cases.negative} negative, {cases.images} images",
            *_figures(policy),
            f"made         {policy.date}, {policy.software}",
            policy.notice,
        ]
    )


def describe_calibration(found: Calibration) -> str:
    """Return the result of a calibration as text."""
    validation = found.evidence.validation
    lines = [
        f"before       {_thresholds(Thresholds.of(found.before))}",
        f"fitted       {_thresholds(Thresholds.of(found.after))}; cut-off of the folds "
        f"{validation.cutoff_low:.4f} to {validation.cutoff_high:.4f}",
        *(
            f"{each.name:17} {each.before.text()} before, {each.after.text()} after, {each.cases} cases; "
            f"difference {each.difference.text()}"
            for each in validation.changes
        ),
        f"criterion    {validation.criterion}",
    ]
    if found.policy is None:
        lines.append(f"result       NOT SHOWN TO HELP: {found.evidence.missing}. No site policy is written.")
    else:
        how = f"p = {validation.p_value:.2g}, try {validation.tries}"
        lines.append(f"result       helps ({how}): site policy {found.policy.version}")
    return "\n".join(lines)


def _figures(policy: SitePolicy) -> list[str]:
    return [
        f"measured     {each.name} {each.before.text()} before, {each.after.text()} after ({each.cases} cases)"
        for each in policy.validation.changes
    ]


def _thresholds(found: Thresholds) -> str:
    floor = f"confidence floor {found.confidence_floor:.4f}"
    return f"cut-off {found.cutoff:.4f}, {floor}, temperature {found.temperature:.4g}"


def _bundle(model: str, key: Path | None) -> Bundle:
    require_name(model)
    return find(model, trusted_key=key)


def _rows(model: str) -> list[str]:
    pointer, store = read_site_pointer(model), store_folder()
    if pointer is None or store is None:
        return []
    rows = []
    for version, state in ((pointer.current, "in force"), (pointer.previous, "previous")):
        if version is not None:
            found = read_site_policy(site_policy_file(store, model, version))
            rows.append(f"{model}  {found.id}  {_thresholds(found.policy.thresholds)}  ({state})")
    return rows


def _state(model: str) -> str:
    return _rows(model)[0]
