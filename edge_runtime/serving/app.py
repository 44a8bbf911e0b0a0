"""The ASGI application: routes, access, and every error as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from starlette.requests import Request
from starlette.routing import Match, Route

from edge_runtime.serving import api_page, endpoints, inference_protocol
from edge_runtime.serving.access import Access
from edge_runtime.serving.body import has_body, linger
from edge_runtime.serving.dicom import dicom
from edge_runtime.serving.endpoints import Core
from edge_runtime.serving.exchange import Exchange
from edge_runtime.serving.logs import tell_fault, tell_request
from edge_runtime.serving.openapi import document
from edge_runtime.serving.problems import INTERNAL, JSON, NOT_ALLOWED, NOT_FOUND, ClientGone, Problem, line
from edge_runtime.serving.replies import Reply, json_bytes, sent_headers
from edge_runtime.serving.static_files import INDEX, TYPES, StaticFiles, content

Handler = Callable[[Core, Request], Awaitable[Reply]]
Endpoint = Callable[[Request], Awaitable[Reply]]
Send = Callable[[Any], Awaitable[None]]

CLIENT_GONE = 499
"""Status in log and metrics of a request whose client closed the connection before the response."""


class Service:
    """The application."""

    def __init__(self, core: Core, access: Access, files: StaticFiles | None = None) -> None:
        self.core, self._access, self._files = core, access, files or StaticFiles()
        self._document = document()
        self.routes = self._routes()
        fixed = [route for route in self.routes if "{" not in route.path]
        # a look-up instead of a search with a pattern for each route
        self._known = {(method, route.path): route.endpoint for route in fixed for method in route.methods or ()}

    def _routes(self) -> list[Route]:
        return [
            self._route("POST", "/v1/predict", endpoints.predict),
            self._route("POST", "/v1/tiles", endpoints.tiles),
            self._route("POST", "/v1/dicom", dicom),
            self._route("GET", "/v1/models", endpoints.models),
            self._route("GET", "/v1/models/{name}", endpoints.model),
            self._route("GET", "/health/live", endpoints.live),
            self._route("GET", "/health/ready", endpoints.ready),
            self._route("GET", "/metrics", endpoints.metrics),
            self._route("GET", "/v2", inference_protocol.server),
            self._route("GET", "/v2/health/live", endpoints.live),
            self._route("GET", "/v2/health/ready", endpoints.ready),
            *(route for version in ("", "/versions/{version}") for route in self._protocol(version)),
            self._route("GET", "/openapi.json", self._openapi),
            self._route("GET", "/docs", self._docs),
            self._route("GET", "/", self._index),
            self._route("GET", "/page/{path:path}", self._file),
        ]

    def _protocol(self, version: str) -> list[Route]:
        model = f"/v2/models/{{name}}{version}"
        return [
            self._route("GET", model, inference_protocol.model),
            self._route("GET", f"{model}/ready", inference_protocol.model_ready),
            self._route("POST", f"{model}/infer", inference_protocol.infer),
        ]

    def _route(self, method: str, template: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Reply:
            Exchange.of(request.scope).route = template
            return await handler(self.core, request)

        return Route(template, endpoint, methods=[method])

    async def _openapi(self, core: Core, request: Request) -> Reply:
        return content(line(self._document), JSON, request)

    async def _docs(self, core: Core, request: Request) -> Reply:
        return content(api_page.render(self._document), TYPES[".html"], request)

    async def _index(self, core: Core, request: Request) -> Reply:
        return self._files.response(INDEX, request)

    async def _file(self, core: Core, request: Request) -> Reply:
        return self._files.response(request.path_params["path"], request)

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """Answer one request, count it and log it."""
        if scope["type"] != "http":  # no WebSocket, and the server has no lifespan events
            return
        exchange = scope["edge"] = Exchange()
        try:
            await self._answer(scope, receive, send, exchange)
        except ClientGone:
            exchange.status, exchange.code = CLIENT_GONE, "client_gone"
        except Exception as error:
            tell_fault(error, exchange.request_id)
            if exchange.status:
                exchange.code = "internal"
                raise
            problem = Problem(INTERNAL, "internal", "The service failed. See its log for the request id.")
            await self._refuse(problem, scope, receive, send)
        finally:
            seconds = perf_counter() - exchange.start
            self.core.metrics.request(exchange, seconds)
            tell_request(exchange, seconds)

    async def _answer(self, scope: Any, receive: Any, send: Send, exchange: Exchange) -> None:
        try:
            self._access.check(scope["path"], dict(scope["headers"]))
            endpoint = self._known.get((scope["method"], scope["path"])) or self._found(scope)
            reply = await endpoint(Request(scope, receive))
        except Problem as problem:
            await self._refuse(problem, scope, receive, send)
        else:
            await _send(reply, exchange, send)

    def _found(self, scope: Any) -> Endpoint:
        """Return the endpoint of a path with a name in it.

        Raises:
            Problem: ``not_found`` or ``method_not_allowed``.
        """
        allowed: set[str] = set()
        for route in self.routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                endpoint: Endpoint = route.endpoint
                return endpoint
            if match is Match.PARTIAL:
                allowed |= route.methods or set()
        if not allowed:
            raise Problem(NOT_FOUND, "not_found", "Found nothing at this path. See /docs.")
        names = ", ".join(sorted(allowed))
        message = f"Found another method, expected {names}. See /docs."
        raise Problem(NOT_ALLOWED, "method_not_allowed", message, {"Allow": names})

    async def _refuse(self, problem: Problem, scope: Any, receive: Any, send: Send) -> None:
        """Send an error. If the body was not read, its client gets the time to read the response before the end."""
        exchange, headers = Exchange.of(scope), dict(problem.headers)
        exchange.code = problem.code
        body = inference_protocol.error_body(problem) if scope["path"].startswith("/v2/") else problem.body()
        unread = has_body(dict(scope["headers"])) and not exchange.body_read
        if unread:
            headers["Connection"] = "close"
        await _send(json_bytes(body, problem.status, headers), exchange, send, unread)
        if unread:
            await linger(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(reply: Reply, exchange: Exchange, send: Send, more: bool = False) -> None:
    exchange.status = reply.status
    headers = sent_headers(reply, exchange.request_id)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": more})
