"""The description of the endpoints as OpenAPI 3.1, built from the schema of answers, and a page that shows it."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_runtime import __version__
from edge_runtime.inference.prediction import NOTICE
from edge_runtime.serving.answer_schema import answer_schema
from edge_runtime.serving.page_files import HEADERS

_IMAGE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["image"],
            "properties": {
                "image": {"type": "string", "format": "binary", "description": "The encoded image."},
                "model": {"type": "string"},
                "region": {"type": "string"},
                "heatmap": {"type": "string", "enum": ["0", "1"]},
                "microns_per_pixel": {"type": "string"},
            },
        }
    }
}
_PROBLEMS = {
    400: "A parameter, a region or a form is invalid.",
    401: "A token is needed.",
    404: "No model of that name is served.",
    408: "The body stopped arriving.",
    413: "The body is too large.",
    503: "The queue is full, a self-test has not passed, or this machine failed. Retry later.",
}


def description() -> dict[str, Any]:
    """Return the description."""
    answered = {200: ("The answer.", {"$ref": "#/components/schemas/answer"})}
    refused = {422: ("The image is refused; the reason is in `error`.", {"$ref": "#/components/schemas/failure"})}
    body = {"required": True, "content": {**_IMAGE, **_FORM}}
    query = [
        _query("model", "Name of the model; the default one if absent.", "string"),
        _query("region", "Circle x,y,radius in pixels of the image, for models that need one.", "string"),
        _query("heatmap", "1 adds a heatmap.", "string"),
        _query("microns_per_pixel", "Scale of the image, for models that state one.", "number"),
    ]
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    plain = {"type": "object"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "edge-serve", "version": __version__, "description": NOTICE},
        "paths": {
            "/v1/predict": {"post": _of("Answer one image.", {**answered, **refused}, query, body)},
            "/v1/tiles": {"post": _of("Answer a slide tile by tile.", {200: ("The map.", plain)}, query, body)},
            "/v1/models": {"get": _of("List the models.", {200: ("The models.", plain)})},
            "/v1/models/{name}": {"get": _of("Spec, measured figures and card.", {200: ("The model.", plain)}, [name])},
            "/health/live": {"get": _of("Whether the process answers.", {200: ("It does.", plain)})},
            "/health/ready": {"get": _of("Whether every self-test passed.", {200: ("All did.", plain)})},
            "/metrics": {
                "get": {"summary": "Counters for Prometheus.", "responses": {"200": {"description": "Text."}}}
            },
        },
        "components": {"schemas": {**answer_schema(), "problem": _PROBLEM}, "securitySchemes": _TOKEN},
    }


_TOKEN = {"token": {"type": "http", "scheme": "bearer", "description": "If the service was started with a token."}}
_PROBLEM = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stable name, for programs."},
                "message": {"type": "string", "description": "What was found and expected, for people."},
            },
        }
    },
}


def _query(name: str, text: str, kind: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": {"type": kind}}


def _of(
    summary: str,
    responses: dict[int, tuple[str, dict[str, Any]]],
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    problem = {"$ref": "#/components/schemas/problem"}
    every = {**responses, **{status: (text, problem) for status, text in _PROBLEMS.items() if body or status == 401}}
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {
            str(status): {"description": text, "content": {"application/json": {"schema": schema}}}
            for status, (text, schema) in sorted(every.items())
        },
    }
    return found | ({"parameters": parameters} if parameters else {}) | ({"requestBody": body} if body else {})


def description_routes() -> list[Route]:
    """Return the routes of the description and of its page."""

    async def as_json(request: Request) -> Response:
        return Response(json.dumps(description()), media_type="application/json")

    async def as_page(request: Request) -> Response:
        return Response(_page(), headers={**HEADERS, "Content-Type": "text/html; charset=utf-8"})

    return [Route("/openapi.json", as_json), Route("/docs", as_page)]


@cache
def _page() -> str:
    """Return the description as a page without scripts, in the style of the service's own page."""
    found = description()
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
        f"{_parameters(operation)}{_responses(operation)}</section>"
        for path, operations in found["paths"].items()
        for method, operation in operations.items()
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>edge-serve</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="page/style/theme.css">'
        '<link rel="stylesheet" href="page/style/reference.css"></head><body><main>'
        f"<h1>edge-serve {escape(found['info']['version'])}</h1><p>{escape(NOTICE)}</p>"
        f'<p><a href="openapi.json">openapi.json</a></p>{"".join(parts)}</main></body></html>'
    )


def _parameters(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}</td>"
        f"<td>{escape(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", [])
    )
    return f"<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>{rows}</table>" if rows else ""


def _responses(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{status}</td><td>{escape(each['description'])}</td></tr>"
        for status, each in operation["responses"].items()
    )
    return f"<table><tr><th>status</th><th>meaning</th></tr>{rows}</table>"
