"""The command ``edge-dicom receive``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.assurance.audit.recorder import Recorder
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.cli.dicom_peer_options import CERT, FILE, KEY, TITLE, TO, TO_CA, TO_TLS, outgoing
from edge_runtime.cli.exit_codes import Command, stops_command
from edge_runtime.cli.options import site_policy_option
from edge_runtime.cli.recording import recording, recording_options
from edge_runtime.cli.service import Service
from edge_runtime.cli.signals import StopSignal, stops_on_signals
from edge_runtime.errors import BundleError, EdgeError, MachineError
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.serving.loaded_model import LoadedModel, ModelOptions
from edge_runtime.serving.logs import tell as log
from edge_runtime.serving.models import Models, ServedModel

if TYPE_CHECKING:
    from edge_runtime.dicom.gateway import Gateway

GRACE_S = 20.0
"""Longest wait for running associations after a signal to stop."""

_LOOK_S = 1.0


@click.command("receive", cls=Command)
@TO
@click.option("--spool", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the spool.")
@click.option("--model", help="Name or path of a model; by default the one in EDGE_PREDICT_MODEL.")
@TITLE
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; others than loopback need --allow, TLS.")
@click.option("--port", type=click.IntRange(0, 65535), default=11112, show_default=True, help="TCP port; 0 for any.")
@click.option("--allow", multiple=True, metavar="AET", help="AE title that may call; by default all. May be repeated.")
@CERT
@KEY
@click.option("--tls-client-ca", type=FILE, help="Authority of the certificates that callers must show, PEM.")
@click.option("--trusted-network", is_flag=True, help="Let other machines in without --allow and TLS.")
@TO_TLS
@TO_CA
@click.option("--max-associations", type=click.IntRange(1, 64), default=4, show_default=True, help="At the same time.")
@click.option(
    "--max-mib", type=click.IntRange(1, 1024), default=96, show_default=True, help="Largest instance, in MiB."
)
@click.option("--spool-mib", type=click.IntRange(1), default=20_480, show_default=True, help="Largest spool, in MiB.")
@click.option(
    "--free-mib", type=click.IntRange(0), default=512, show_default=True, help="Disk that stays free, in MiB."
)
@click.option(
    "--mark-hours",
    type=click.FloatRange(0, 720),
    default=24,
    show_default=True,
    help="Longest wait of an image for its circle, and of a circle for its image.",
)
@click.option("--no-heatmap", is_flag=True, help="Send reports alone.")
@click.option("--ready-file", type=FILE, help="File that exists while instances are received.")
@click.option("--trusted-key", type=FILE, help="Public key; the bundle must be signed by it.")
@recording_options
@site_policy_option
def receive(
    to: str,
    spool: Path,
    model: str | None,
    aet: str,
    host: str,
    port: int,
    allow: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    trusted_network: bool,
    to_tls: bool,
    to_ca: Path | None,
    max_associations: int,
    max_mib: int,
    spool_mib: int,
    free_mib: int,
    mark_hours: float,
    no_heatmap: bool,
    ready_file: Path | None,
    trusted_key: Path | None,
    audit: Path | None,
    audit_period: float,
    audit_key: Path | None,
    site_policy: Path | None,
) -> None:
    """Receive images by C-STORE, and send report and heatmap to an archive.

    An instance is acknowledged when it is on the disk. After a crash or a power cut the work goes on where it ended.
    Results stay in the spool until the archive has accepted them. A model or site policy that is installed meanwhile
    is taken over. The log is JSON lines on stderr.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    with stops_command():
        from edge_runtime.dicom.peer import require_packages

        require_packages()
        from edge_runtime.dicom.gateway import Gateway
        from edge_runtime.dicom.peer import Peer, TlsFiles, ae_title
        from edge_runtime.dicom.receiver import Listening
        from edge_runtime.dicom.room import SpoolLimits
        from edge_runtime.dicom.spool import Spool

        own = TlsFiles(tls_cert, tls_key, tls_client_ca) if tls_cert or tls_key or tls_client_ca else None
        peer = Peer.parse(to, ae_title(aet), outgoing(to_tls, tls_cert, tls_key, to_ca))
        callers = tuple(map(ae_title, allow))
        where = Listening(
            *(ae_title(aet), host, port, callers, own),
            most_associations=max_associations,
            most_bytes=max_mib << 20,
            trusted_network=trusted_network,
        )
        where.check()
        policies = () if site_policy is None else (str(site_policy),)
        options = ModelOptions(trusted_key=trusted_key, site_policies=policies)
        with (
            recording("edge-dicom receive", audit, audit_period, audit_key, say=_tell_audit) as recorder,
            closing(Models((model or model_in_force(),), options)) as models,
            stops_on_signals() as stop,
        ):
            follow = partial(models.refresh, log, partial(_admit, recorder))
            served = _tested(models, follow)
            kept = Spool(spool, SpoolLimits(spool_mib << 20, free_mib << 20))
            counting = _CountingLog(recorder, served)
            gateway = Gateway(where, kept, served.use, peer, counting, not no_heatmap, mark_hours * 3600)
            log("spool", **kept.counts())
            _run(gateway, stop, ready_file, recorder, follow)
            kept.close()


def _admit(recorder: Recorder, model: LoadedModel) -> None:
    recorder.admit(model.predictor, certificate=model.certificate)


class _CountingLog:
    """The log of the gateway, which also counts the answers for the audit log."""

    def __init__(self, recorder: Recorder, model: ServedModel) -> None:
        self._recorder, self._model = recorder, model

    def __call__(self, event: str, **fields: object) -> None:
        """Write an event, and count it if it is an answer."""
        log(event, **fields)
        bundle = self._model.loaded.predictor.digest
        decision, reason = str(fields.get("decision", "")), str(fields.get("reason", ""))
        if event == "set_aside" or (event == "answered" and decision == "NO_ANSWER"):
            self._recorder.count(bundle, failure=reason)
        elif event == "answered" and reason:
            self._recorder.count(bundle, decision=f"{decision} {reason}")
        if self._recorder.each:
            self._recorder.tick()


def _tell_audit(error: EdgeError) -> None:
    log("audit_failed", code=error.code)


def _run(
    gateway: Gateway, stop: StopSignal, ready_file: Path | None, recorder: Recorder, follow: Callable[[], None]
) -> None:
    """Run until a signal, and follow the installed model and site policy.

    Raises:
        MachineError: one of the gateway's threads ended.
    """
    service = Service()
    gateway.start()
    log("listening", port=gateway.port)
    if ready_file is not None:
        write_whole(ready_file, f"{gateway.port}\n".encode(), durable=False)
    service.tell("READY=1", "STATUS=receiving")
    try:
        while stop.by is None:
            stop.sleep(_LOOK_S, service.alive)
            recorder.tick()
            follow()
            if not gateway.alive:
                raise MachineError("a part of the receiver has ended; the spool is complete. Start the command again.")
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
        service.tell("STOPPING=1")
        log("stopping")
        gateway.stop(GRACE_S)
        service.close()


def _tested(models: Models, follow: Callable[[], None]) -> ServedModel:
    """Return the model after its self-test on this machine."""
    follow()
    served = models.get(None)
    if not models.ready:
        raise BundleError(f"{served.name}: its self-test differs on this machine. Run edge-bundle selftest here.")
    return served
