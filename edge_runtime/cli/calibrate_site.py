"""The command ``edge-bundle calibrate-site``: fit and validate thresholds on a site's own labelled cases."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge_runtime.assurance.audit.recorder import PERIOD_S
from edge_runtime.assurance.protocol import Counting
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.site_policy_in_force import NO_SITE_POLICY
from edge_runtime.cli.cases_options import FILE, FOLDER, SHARE, cases_options
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED, Command, stops_command
from edge_runtime.cli.install import trusted_key_option
from edge_runtime.cli.output import say, tell
from edge_runtime.cli.recording import audit_option, change_recorded, counted_progress, recording
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.platform.escaped_names import shown

_EXIT_CODES = """\b
Exit status:
  0    the site policy is shown to help, and is written
  1    it is not shown to help; nothing is written
  2    the command line or the cases are invalid, or too few
  3    the model cannot be trusted, or has no golden vectors; or the
       installed models cannot be changed
  4    no interpreter can run the model here, or its self-test failed
  6    the machine failed; the same command continues"""


@click.command("calibrate-site", cls=Command, epilog=_EXIT_CODES)
@click.argument("folder", metavar="FOLDER", type=FOLDER)
@click.option(
    "--cases", type=FILE, required=True, metavar="CSV", help="List of the cases, with the columns case, image, label."
)
@click.option("--out", type=FOLDER, required=True, metavar="FOLDER", help="Folder for answers and site policy.")
@click.option("--sensitivity", type=SHARE, metavar="SHARE", help="Target: this sensitivity on cases, or more.")
@click.option("--youden", is_flag=True, help="Target: the largest sensitivity + specificity on cases.")
@click.option("--max-error", type=SHARE, metavar="SHARE", help="Also fit the floor: largest error among decided cases.")
@click.option("--name", default="site", show_default=True, metavar="NAME", help="The site's name of the policy.")
@cases_options
@click.option("--sign-key", type=FILE, metavar="PRIVATE", help="Sign the site policy with this private key.")
@click.option("--install", "installs", is_flag=True, help="Install the site policy for the model's name.")
@trusted_key_option
@audit_option
def command(
    folder: Path,
    cases: Path,
    out: Path,
    sensitivity: float | None,
    youden: bool,
    max_error: float | None,
    referred: str,
    failed: str,
    name: str,
    model: str | None,
    backend: str,
    workers: int,
    sign_key: Path | None,
    installs: bool,
    key: Path | None,
    audit: Path | None,
) -> None:
    """Calibrate a model for a site, on the site's own labelled cases in FOLDER.

    Temperature, cut-off and confidence floor are fitted by case. Cross-validation over cases measures whether they
    help. Only then is a site policy written. The bundle keeps its bytes.
    """
    from edge_runtime.assurance.calibration.calibrate import CalibrationRequest, calibrate
    from edge_runtime.assurance.calibration.target import SiteTarget
    from edge_runtime.bundle.bundle import find, key_in_force
    from edge_runtime.bundle.registry.site_policies import install_site_policy
    from edge_runtime.cli.site_policy import describe_calibration, require_name, site_policy_changed
    from edge_runtime.predictor import Predictor

    with stops_command(), change_recorded(audit) as record:
        target = SiteTarget(sensitivity, youden, max_error, Counting(referred), Counting(failed))
        request = CalibrationRequest(folder, cases, target, out, name, workers, sign_key)
        chosen, key = model_in_force() if model is None else model, key_in_force(key)
        if installs:
            require_name(chosen)
        with (
            recording("edge-bundle calibrate-site", audit, PERIOD_S, None) as recorder,
            Predictor.load(
                chosen,
                backend=Runtime(backend),
                precision=Precision.FLOAT32,
                trusted_key=key,
                site_policy=NO_SITE_POLICY,
            ) as predictor,
        ):
            bundle = find(chosen, trusted_key=key)
            found = calibrate(request, predictor, bundle, counted_progress(recorder, predictor))
        say(describe_calibration(found))
        if found.path is not None:
            tell(f"{shown(found.path)}: the site policy.")
            if installs:
                pointer = install_site_policy(found.path, bundle, key)
                record(lambda: site_policy_changed(bundle.manifest.spec.name))
                tell(f"site policy {pointer.current} of {bundle.manifest.spec.name} is installed and in force.")
    if found.policy is None:
        sys.exit(EXIT_SOME_FAILED)
