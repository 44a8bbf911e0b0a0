"""Run the service: models, queue, HTTP server, signals, and what happens beside the requests."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from edge_runtime.assurance.audit.recorder import NO_RECORDER, Recorder
from edge_runtime.errors import UsageError
from edge_runtime.serving.access import Access
from edge_runtime.serving.app import Service
from edge_runtime.serving.body import BodyLimits, Uploads
from edge_runtime.serving.connection import Connection
from edge_runtime.serving.endpoints import Core
from edge_runtime.serving.loaded_model import LoadedModel, ModelOptions
from edge_runtime.serving.logs import take_over_logging, tell
from edge_runtime.serving.metrics import Metrics
from edge_runtime.serving.models import Models
from edge_runtime.serving.work_queue import WorkQueue

LOOK_S = 1.0
"""Seconds between two looks at the installed models."""
KEEP_ALIVE_S = 15
SHUTDOWN_S = 80
"""Longest time for answers after a stop signal; systemd's own limit is 90 s."""
_LAST_ACCEPT_S = 0.05
"""Time to accept the connections that the kernel has completed; it resets them when the socket is closed."""
_GARBAGE = 10_000
"""New objects before a search for cycles; requests leave none behind."""
HELD_BODIES = 4
"""Largest sum of all bodies in memory, as a multiple of the largest body."""


@dataclass(frozen=True)
class Tls:
    """Files of TLS in PEM; ``client_ca`` signs the certificates that clients must have."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True)
class ServeOptions:
    """The limits and rules of the service."""

    queue: int = 64
    workers: int = 1
    most_bytes: int = 64 * 1024 * 1024
    read_timeout_s: float = 30.0
    most_connections: int = 512
    access: Access = field(default_factory=Access)
    tls: Tls | None = None


class Notifier:
    """Tells a service manager about the state; this one tells nobody."""

    def ready(self) -> None:
        """The self-tests have passed."""

    def alive(self) -> None:
        """The event loop runs; called ten times a second."""

    def stopping(self) -> None:
        """A stop signal was received."""


def core_of(models: Models, options: ServeOptions, recorder: Recorder = NO_RECORDER) -> Core:
    """Return what the endpoints share."""
    queue = WorkQueue(options.queue, options.workers)
    most = options.most_bytes
    uploads = Uploads(BodyLimits(most, options.read_timeout_s, HELD_BODIES * most))
    return Core(models, queue, uploads, Metrics(models, queue, uploads, recorder), recorder)


def serve(
    sources: tuple[str, ...],
    model_options: ModelOptions,
    options: ServeOptions,
    listen: Callable[[], list[socket.socket]],
    notifier: Notifier,
    recorder: Recorder = NO_RECORDER,
) -> None:
    """Load the models, listen, and answer until a signal.

    Args:
        sources: names or paths of the models; empty for all.
        model_options: how they are opened.
        options: limits and rules.
        listen: returns the listening sockets; called after the models are loaded.
        notifier: is told about the state.
        recorder: is told about models and answers.

    Raises:
        EdgeError: a model cannot be loaded, or a file of TLS cannot be used.
    """
    take_over_logging()
    models = Models(sources, model_options)
    core = core_of(models, options, recorder)
    config = _config(Service(core, options.access), options)
    sockets = listen()
    server = Server(config, core, notifier)
    gc.freeze()  # what was loaded stays; looking through it again and again takes time from requests
    gc.set_threshold(_GARBAGE)
    tell("listening", port=_port(sockets), models=[model.name for model in models])
    try:
        server.run(sockets=sockets)
    finally:
        core.queue.close()
        models.close()
        tell("stopped")


def _port(sockets: list[socket.socket]) -> int | None:
    """Return the TCP port; None for a Unix socket."""
    names = (each.getsockname() for each in sockets)
    return next((name[1] for name in names if isinstance(name, tuple)), None)


def _config(app: Service, options: ServeOptions) -> uvicorn.Config:
    limits = {"head_timeout_s": options.read_timeout_s, "most": options.most_connections}
    protocol: Any = type("LimitedConnection", (Connection,), limits)
    tls = options.tls
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ssl_certfile=None if tls is None else tls.cert,
        ssl_keyfile=None if tls is None else tls.key,
        ssl_ca_certs=None if tls is None or tls.client_ca is None else str(tls.client_ca),
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls is not None and tls.client_ca is not None else ssl.CERT_NONE,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"TLS: a certificate or key cannot be used ({error.strerror}). Name PEM files that belong together."
        ) from None
    return config


class Server(uvicorn.Server):
    """The HTTP server. It ends with status 0 after a stop signal; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, core: Core, notifier: Notifier) -> None:
        super().__init__(config)
        self._core, self._notifier, self._was_ready = core, notifier, False
        self._upkeep: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then run the self-tests."""
        await super().startup(sockets)
        self._upkeep = asyncio.create_task(self._keep_up())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing further, and answer what was accepted."""
        tell("stopping", waiting=self._core.queue.waiting, running=self._core.queue.running)
        self._notifier.stopping()
        if self._upkeep is not None:
            self._upkeep.cancel()
        await asyncio.sleep(_LAST_ACCEPT_S)
        # each response from now on tells its client that the connection ends
        self.server_state.default_headers.append((b"connection", b"close"))
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Tell the service manager that the event loop runs."""
        self._notifier.alive()
        return await super().on_tick(counter)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.to_thread(self._core.models.refresh, tell, self._admit)
            await asyncio.to_thread(self._core.recorder.tick)
            if self._core.models.ready and not self._was_ready:
                self._was_ready = True
                self._notifier.ready()
                tell("ready")
            await asyncio.sleep(LOOK_S)

    def _admit(self, loaded: LoadedModel) -> None:
        self._core.recorder.admit(loaded.predictor, certificate=loaded.certificate)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle SIGINT and SIGTERM."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; end at once if a stop has begun."""
        self.force_exit = self.should_exit
        self.should_exit = True
