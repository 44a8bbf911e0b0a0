"""The ASGI application: routes, access, and every error as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from edge_runtime.serving import api_page, endpoints, inference_protocol
from edge_runtime.serving.access import Access
from edge_runtime.serving.body import has_body, linger
from edge_runtime.serving.endpoints import Core
from edge_runtime.serving.exchange import Exchange
from edge_runtime.serving.logs import tell_fault, tell_request
from edge_runtime.serving.openapi import document
from edge_runtime.serving.problems import INTERNAL, JSON, NOT_ALLOWED, NOT_FOUND, ClientGone, Problem, line
from edge_runtime.serving.static_files import INDEX, TYPES, StaticFiles, content

Handler = Callable[[Core, Request], Awaitable[Response]]
Send = Callable[[Any], Awaitable[None]]

CLIENT_GONE = 499
"""Status in log and metrics of a request whose client closed the connection before the response."""

_FIXED_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cross-origin-resource-policy", b"same-origin")]
_NO_STORE = (b"cache-control", b"no-store")


class Service:
    """The application."""

    def __init__(self, core: Core, access: Access, files: StaticFiles | None = None) -> None:
        self.core, self._access, self._files = core, access, files or StaticFiles()
        self._document = document()
        routes = self._routes()
        self._router = Router(routes)
        self._known = {(method, r.path): r.endpoint for r in routes for method in r.methods or () if "{" not in r.path}

    def _routes(self) -> list[Route]:
        return [
            self._route("POST", "/v1/predict", endpoints.predict),
            self._route("POST", "/v1/tiles", endpoints.tiles),
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
        async def endpoint(request: Request) -> Response:
            Exchange.of(request.scope).route = template
            return await handler(self.core, request)

        return Route(template, endpoint, methods=[method])

    async def _openapi(self, core: Core, request: Request) -> Response:
        return content(line(self._document), JSON, request)

    async def _docs(self, core: Core, request: Request) -> Response:
        return content(api_page.render(self._document), TYPES[".html"], request)

    async def _index(self, core: Core, request: Request) -> Response:
        return self._files.response(INDEX, request)

    async def _file(self, core: Core, request: Request) -> Response:
        return self._files.response(request.path_params["path"], request)

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """Answer one request, count it and log it."""
        if scope["type"] != "http":  # no WebSocket, and the server has no lifespan events
            return
        exchange = scope["edge"] = Exchange()
        scope["app"] = self  # Starlette then raises for an unknown path, and for a wrong method

        async def tracked(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = [*message["headers"], *_FIXED_HEADERS, (b"x-request-id", exchange.request_id.encode())]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NO_STORE)
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._answer(scope, receive, tracked, exchange)
        except ClientGone:
            exchange.status, exchange.code = CLIENT_GONE, "client_gone"
        except Exception as error:
            tell_fault(error, exchange.request_id)
            exchange.code = "internal"
            if exchange.status:
                raise
            problem = Problem(INTERNAL, "internal", "The service failed. See its log for the request id.")
            await self._refuse(problem, scope, receive, tracked)
        finally:
            seconds = perf_counter() - exchange.start
            self.core.metrics.request(exchange, seconds)
            tell_request(exchange, seconds)

    async def _answer(self, scope: Any, receive: Any, send: Send, exchange: Exchange) -> None:
        try:
            self._access.check(scope["path"], dict(scope["headers"]))
            endpoint = self._known.get((scope["method"], scope["path"]))
            if endpoint is None:
                await self._router(scope, receive, send)
            else:  # a look-up instead of a search with a pattern for each route
                response = await endpoint(Request(scope, receive, send))
                await response(scope, receive, send)
            return
        except HTTPException as error:
            problem = _problem_of_route(error)
        except Problem as error:
            problem = error
        exchange.code = problem.code
        await self._refuse(problem, scope, receive, send)

    async def _refuse(self, problem: Problem, scope: Any, receive: Any, send: Send) -> None:
        """Send an error. If the body was not read, its client gets the time to read the response before the end."""
        headers, of_protocol = dict(problem.headers), scope["path"].startswith("/v2/")
        body = inference_protocol.error_body(problem) if of_protocol else problem.body()
        unread = has_body(dict(scope["headers"])) and not Exchange.of(scope).body_read
        if unread:
            headers["Connection"] = "close"
        response = Response(body, problem.status, headers=headers, media_type=JSON)
        await send({"type": "http.response.start", "status": problem.status, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": body, "more_body": unread})
        if unread:
            await linger(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _problem_of_route(error: HTTPException) -> Problem:
    if error.status_code == NOT_ALLOWED:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        message = f"Found another method, expected {allowed}. See /docs."
        return Problem(NOT_ALLOWED, "method_not_allowed", message, {"Allow": allowed})
    return Problem(NOT_FOUND, "not_found", "Found nothing at this path. See /docs.")
