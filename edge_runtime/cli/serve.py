"""The command ``edge-serve``: a local HTTP service with the results of ``edge-predict``, and a page."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime import __version__
from edge_runtime.bundle.bundle import TRUSTED_KEY
from edge_runtime.bundle.site_policy_in_force import SITE_POLICY
from edge_runtime.cli.exit_codes import Command, stops_command
from edge_runtime.cli.recording import recording, recording_options
from edge_runtime.cli.service import Service
from edge_runtime.errors import EdgeError, UsageError
from edge_runtime.inference.backends.base import Provider, Runtime

if TYPE_CHECKING:
    from edge_runtime.serving.access import Access
    from edge_runtime.serving.server import Tls

_EXIT_CODES = """\b
Exit status:
  0    the service was stopped by a signal
  2    the command line is invalid, the address is in use, or the extra
       "serve" is not installed
  3    a model is missing, altered, from a newer release, without golden
       vectors, or not signed by the trusted key
  4    no interpreter can run a model here
  5    the audit log cannot be written"""

_FILE = click.Path(path_type=Path)
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"(\d{1,12})\s*([KMG]i?B|)", re.IGNORECASE | re.ASCII)


def _bytes(context: click.Context, option: click.Parameter, value: str) -> int:
    """Return the bytes of a size such as ``64MiB``."""
    found = _SIZE.fullmatch(value.strip())
    size = 0 if found is None else int(found[1]) * _UNITS[found[2].upper()]
    if size <= 0:
        raise click.BadParameter(f"{value!r} is not a size such as 64MiB.", context, option)
    return size


@click.command("edge-serve", cls=Command, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free port.")
@click.option("--uds", type=_FILE, metavar="PATH", help="Listen on a Unix socket instead of an address.")
@click.option(
    "--host-name", "host_names", multiple=True, metavar="NAME", help="A further name of this service. Repeatable."
)
@click.option("--token-file", type=_FILE, metavar="FILE", help="Access tokens, one a line. Requests need one.")
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Certificate of this service (PEM).")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key (PEM).")
@click.option("--tls-client-ca", type=_FILE, metavar="FILE", help="Clients need a certificate of this authority (PEM).")
@click.option("--queue", type=click.IntRange(0, 10000), default=64, show_default=True, help="Requests that may wait.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Images in parallel.")
@click.option(
    "--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of each interpreter."
)
@click.option(
    "--max-bytes",
    callback=_bytes,
    default="64MiB",
    show_default=True,
    metavar="SIZE",
    help="Largest body.",
)
@click.option(
    "--read-timeout",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="A request must arrive whole, or 16 KiB more of it, in this time.",
)
@click.option(
    "--max-connections", type=click.IntRange(1, 100000), default=512, show_default=True, help="Open connections."
)
@click.option(
    "--backend",
    type=click.Choice([runtime.value for runtime in Runtime]),
    default=Runtime.AUTO.value,
    show_default=True,
    help="The interpreter that runs the models.",
)
@click.option(
    "--provider",
    type=click.Choice([provider.value for provider in Provider]),
    default=Provider.CPU.value,
    show_default=True,
    help="The device that onnxruntime computes on.",
)
@click.option(
    "--trusted-key",
    type=_FILE,
    metavar="FILE",
    envvar=TRUSTED_KEY,
    show_envvar=True,
    help="Reject models that are not signed by this public key.",
)
@recording_options
@click.option(
    "--site-policy",
    "site_policies",
    multiple=True,
    type=click.Path(),
    metavar="FILE|none",
    envvar=SITE_POLICY,
    show_envvar=True,
    help="Thresholds of the site for the model that FILE names; none: the models' own. Repeatable.",
)
@click.version_option(__version__, prog_name="edge-serve")
def main(models: tuple[str, ...], **given: Any) -> None:
    """Answer images over HTTP, and show a page.

    MODEL is a name or path; the first is the default. Without one, all installed and shipped models are served.

    The answers are those of edge-predict --json. Any address but loopback needs --token-file or --tls-client-ca.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    with stops_command():
        try:
            from edge_runtime.serving import server, sockets
            from edge_runtime.serving.loaded_model import ModelOptions
        except ModuleNotFoundError as error:
            raise UsageError(
                f'found no package {error.name}, expected the extra serve. Run: pip install "edge-predict[serve]"'
            ) from None

        tls, uds = _tls(given), given["uds"]
        handed_over = sockets.inherited()
        access = _access(given, handed_over, tls)

        own: list[Path] = []  # a path that this process listens at

        def listen() -> list[socket.socket]:
            if handed_over:
                return handed_over
            if uds is None:
                return [sockets.on_address(given["host"], given["port"])]
            made = sockets.on_path(uds)
            own.append(uds)
            return [made]

        options = server.ServeOptions(
            queue=given["queue"],
            workers=given["workers"],
            most_bytes=given["max_bytes"],
            read_timeout_s=given["read_timeout"],
            most_connections=given["max_connections"],
            access=access,
            tls=tls,
        )
        backend, provider = Runtime(given["backend"]), Provider(given["provider"])
        opened = ModelOptions(backend, provider, given["threads"], given["trusted_key"], given["site_policies"])
        service = Service()
        try:
            with recording("edge-serve", *_audit(given), say=_tell_audit) as recorder:
                server.serve(models, opened, options, listen, _notifier(service), recorder)
        finally:
            service.close()
            sockets.remove(own)


def _audit(given: dict[str, Any]) -> tuple[Path | None, float, Path | None]:
    return given["audit"], given["audit_period"], given["audit_key"]


def _tell_audit(error: EdgeError) -> None:
    """Write into the log that the audit log cannot be written; answers go on."""
    from edge_runtime.serving.logs import tell

    tell("audit_failed", code=error.code)


def _tls(given: dict[str, Any]) -> Tls | None:
    from edge_runtime.serving.server import Tls

    cert, key, client_ca = given["tls_cert"], given["tls_key"], given["tls_client_ca"]
    if (cert is None) is not (key is None):
        raise UsageError("--tls-cert and --tls-key belong together. Give both.")
    if cert is None:
        if client_ca is not None:
            raise UsageError("--tls-client-ca needs --tls-cert and --tls-key. Give all three.")
        return None
    return Tls(cert, key, client_ca)


def _access(given: dict[str, Any], handed_over: list[socket.socket], tls: Tls | None) -> Access:
    """Return the rules of access.

    Raises:
        UsageError: the service can be reached from other machines, and nothing says who may use it.
    """
    from edge_runtime.serving import access

    tokens = frozenset[bytes]() if given["token_file"] is None else access.read_tokens(given["token_file"])
    if handed_over:
        names = [each.getsockname() for each in handed_over]
        hosts = [str(name[0]) for name in names if isinstance(name, tuple)]
    else:
        hosts = [] if given["uds"] is not None else [given["host"]]
    far = [host for host in hosts if not access.is_loopback(host)]
    if far and not tokens and (tls is None or tls.client_ca is None):
        raise UsageError(
            f"{far[0]}: other machines reach this address, and anybody there could use the service. "
            "Give --token-file FILE, or --tls-client-ca FILE, or listen on 127.0.0.1."
        )
    return access.Access(tokens, access.own_names(*given["host_names"]) if hosts else None)


def _notifier(service: Service) -> Any:
    from edge_runtime.serving.server import Notifier

    class Systemd(Notifier):
        def ready(self) -> None:
            service.tell("READY=1", "STATUS=answering")

        def alive(self) -> None:
            service.alive()

        def stopping(self) -> None:
            service.tell("STOPPING=1", "STATUS=answering what was accepted")

    return Systemd()


def run() -> None:
    """Run ``edge-serve`` as a program."""
    main()


if __name__ == "__main__":
    run()
