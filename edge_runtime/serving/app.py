"""The application: access, counters, then the endpoints. Models are tested at its start, and watched while it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from edge_runtime.errors import EdgeError
from edge_runtime.serving.access import Access, AccessRules
from edge_runtime.serving.body import BodyLimits
from edge_runtime.serving.inference_protocol import InferenceProtocol
from edge_runtime.serving.metrics import Metrics, Observed
from edge_runtime.serving.models import ModelPool
from edge_runtime.serving.openapi import description_routes
from edge_runtime.serving.page_files import page_routes
from edge_runtime.serving.problems import ProblemError, of_edge_error, of_fault, of_http, of_problem
from edge_runtime.serving.routes import Service
from edge_runtime.serving.work_queue import WorkQueue

LOOK_S = 1.0
"""Seconds between two looks at the installed models."""


@dataclass(frozen=True)
class ServiceOptions:
    """Limits of a service.

    Attributes:
        waiting: requests that may wait before the models.
        threads: images that are answered at the same time.
        limits: limits of a body.
    """

    waiting: int
    threads: int
    limits: BodyLimits


def application(models: ModelPool, options: ServiceOptions, rules: AccessRules) -> Starlette:
    """Return the ASGI application; it closes the models at its end."""
    queue = WorkQueue(options.threads, options.waiting)
    metrics = Metrics(queue, models)
    service = Service(models, queue, options.limits, metrics)
    protocol = InferenceProtocol(models, queue, options.limits, metrics)
    routes = [*service.routes(), *protocol.routes(), *description_routes(), *page_routes()]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        watcher = asyncio.ensure_future(_watch(models))
        yield
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
        queue.close()
        models.close()

    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Observed, metrics=metrics, routes=frozenset(route.path for route in routes)),
            Middleware(Access, rules=rules),
        ],
        exception_handlers={
            ProblemError: of_problem,
            EdgeError: of_edge_error,
            HTTPException: of_http,
            ClientDisconnect: _of_leaving,
            Exception: of_fault,
        },
        lifespan=lifespan,
    )


async def _watch(models: ModelPool) -> None:
    """Test the models, then look for installed ones again and again."""
    await asyncio.to_thread(models.test)
    while True:
        await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(models.refresh)


async def _of_leaving(request: Request, error: Exception) -> Response:
    """Return a response that nobody reads: the client has left."""
    return Response(status_code=499)
