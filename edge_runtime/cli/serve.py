"""The command ``edge-serve``: the models as a local HTTP service with a page."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime import __version__
from edge_runtime.cli.exit_codes import EXIT_CODES, Command, stops_command
from edge_runtime.cli.output import tell
from edge_runtime.errors import UsageError

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("serve", cls=Command, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; others than loopback need a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="TCP port; 0 for any.")
@click.option("--uds", type=_FILE, help="Listen on this Unix socket instead.")
@click.option("--allowed-host", "hosts", multiple=True, help="Further name in the header Host. May be repeated.")
@click.option("--token-file", type=_FILE, help="File with the bearer token that requests must show.")
@click.option("--tls-cert", type=_FILE, help="Certificate for TLS, PEM.")
@click.option("--tls-key", type=_FILE, help="Its key, PEM.")
@click.option("--tls-client-ca", type=_FILE, help="Authority of the certificates that clients must show, PEM.")
@click.option("--trusted-key", type=_FILE, help="Public key; only bundles signed by it are served.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Images answered at once.")
@click.option("--queue", type=click.IntRange(0, 10_000), default=64, show_default=True, help="Requests that may wait.")
@click.option("--max-mib", type=click.IntRange(1, 1024), default=64, show_default=True, help="Largest body, in MiB.")
@click.option(
    "--read-timeout", type=click.FloatRange(0.1, 600), default=10, show_default=True, help="Longest pause, in seconds."
)
@click.version_option(__version__, prog_name="edge-serve")
def main(
    models: tuple[str, ...],
    host: str,
    port: int,
    uds: Path | None,
    hosts: tuple[str, ...],
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    trusted_key: Path | None,
    workers: int,
    queue: int,
    max_mib: int,
    read_timeout: float,
) -> None:
    """Serve models over HTTP on this machine, with a page at its address.

    Without MODEL all installed and shipped models are served. The answers are those of edge-predict --json.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    with stops_command():
        try:
            from edge_runtime.serving.access import AccessRules, hosts_of, read_token
            from edge_runtime.serving.app import ServiceOptions, application
            from edge_runtime.serving.body import BodyLimits
            from edge_runtime.serving.models import ModelPool
            from edge_runtime.serving.server import Listening, serve
        except ModuleNotFoundError as error:
            raise UsageError(
                f"found no package {error.name}, expected the extra serve. Run: pip install 'edge-predict[serve]'"
            ) from None
        token = None if token_file is None else read_token(token_file)
        where = Listening(host, port, uds, read_timeout, tls_cert, tls_key, tls_client_ca)
        where.check(token)
        limits = BodyLimits(max_mib << 20, read_timeout)
        pool = ModelPool(models, workers, trusted_key)
        rules = AccessRules(() if uds is not None else hosts_of(host, hosts), token)
        names = ", ".join(model.spec.name for model in pool)
        tell(f"edge-serve {__version__}: {names} at {uds or f'{host}:{port}'}. Ctrl-C ends it.")
        serve(application(pool, ServiceOptions(queue, workers, limits), rules), where)


def run() -> None:
    """Run ``edge-serve`` as a program."""
    main()


if __name__ == "__main__":
    run()
