"""The description of the service for programs: OpenAPI 3.1, with the schema of ``edge-predict --json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_runtime import __version__
from edge_runtime.inference.prediction import NOTICE

_SCHEMA = "prediction.schema.json"

Json = dict[str, Any]
_PLACE = "#/components/schemas/"
_JSON = "application/json"

_ERRORS = {
    "400": "A parameter, the region, the form or the HTTP request is invalid.",
    "401": "A token is needed.",
    "403": "The request came from another site's page, or names an unknown host.",
    "404": "There is no such model or path.",
    "408": "The request arrived too slowly.",
    "413": "The body is larger than the limit.",
    "415": "The body is JSON or compressed, not an image.",
    "501": "The extra dicom is not installed.",
    "500": "The model's files or the service failed.",
    "503": "The queue is full, the self-test has not passed, or the machine failed. See Retry-After.",
}


def schema_file() -> Path:
    """Return the schema of the predictions: a wheel has a copy beside this module, a checkout has it in ``docs``."""
    here = Path(__file__).with_name(_SCHEMA)
    return here if here.is_file() else Path(__file__).parents[2] / "docs" / _SCHEMA


def document() -> Json:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edge-serve",
            "version": __version__,
            "description": f"Results of edge-predict over HTTP. {NOTICE}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _paths() -> Json:
    model = _parameter("model", "Name of a model; by default the default one.")
    name = {**_parameter("name", "Name of a model."), "in": "path", "required": True}
    about = "Manifest with spec and measured figures, and the model card."
    return {
        "/v1/predict": {"post": _predict(model)},
        "/v1/tiles": {"post": _tiles(model)},
        "/v1/dicom": {"post": _dicom(model)},
        "/v1/models": {"get": _get("The models.", "models", "401", "403")},
        "/v1/models/{name}": {"get": {**_get(about, "model", "401", "403", "404"), "parameters": [name]}},
        "/health/live": {"get": _get("The process answers.", "health")},
        "/health/ready": {"get": _get("200 if the self-test of every model has passed.", "health")},
        "/metrics": {"get": _metrics()},
        "/v2/models/{name}/infer": {"post": _infer(name)},
    }


def _predict(model: Json) -> Json:
    return {
        "summary": "The result for one image: what edge-predict --json prints.",
        "parameters": [
            model,
            _parameter("region", "Centre and radius in pixels, x,y,radius, for models of marked regions."),
            _parameter("heatmap", "1 adds the member heatmap."),
            _scale(),
        ],
        "requestBody": _image(),
        "responses": _responses(_response("A prediction.", "answer")),
    }


def _tiles(model: Json) -> Json:
    return {
        "summary": "The result for a slide, tile by tile: what edge-predict --tiles --json prints.",
        "parameters": [model, _scale()],
        "requestBody": _image(),
        "responses": _responses(_response("The result for the slide.", "slide")),
    }


def _responses(ok: Json) -> Json:
    """Return the responses of an endpoint that takes an image."""
    return {
        "200": ok,
        "422": _response("The image or its region is refused.", "failure"),
        **_errors("400", "401", "403", "404", "408", "413", "415", "500", "503"),
    }


def _image() -> Json:
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "required": ["image"], "properties": {"image": binary}}
    return {
        "required": True,
        "content": {"application/octet-stream": {"schema": binary}, "multipart/form-data": {"schema": form}},
    }


def _scale() -> Json:
    return _parameter("microns_per_pixel", "Scale of the image. A model of another scale rejects it.", "number")


def _metrics() -> Json:
    return {
        "summary": "Metrics for Prometheus.",
        "responses": {"200": {"description": "Text format of Prometheus.", "content": {"text/plain": {}}}},
    }


def _infer(name: Json) -> Json:
    return {
        "summary": "The Open Inference Protocol (KServe v2): one BYTES tensor named image.",
        "parameters": [name],
        "requestBody": {"required": True, "content": {_JSON: {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "The output tensors."},
            "default": _response("An error.", "protocolError"),
        },
    }


def _dicom(model: Json) -> Json:
    binary = {"type": "string", "format": "binary"}
    related = {"multipart/related": {"schema": {"type": "array", "items": binary}}}
    return {
        "summary": "Report and heatmap of one DICOM object, as DICOM objects.",
        "parameters": [
            model,
            _parameter("frame", "The frame to classify, counted from 1, or all: one case of all frames."),
            _parameter("heatmap", "0 leaves the heatmap out."),
            _parameter("unmarked", "wait: an image without the circle that the model needs has no report, but 422."),
        ],
        "requestBody": {"required": True, "content": {"application/dicom": {"schema": binary}, **related}},
        "responses": {
            "200": {"description": "The report, then the heatmap; a refusal has a report alone.", "content": related},
            "204": {"description": "Nothing to answer: another report, or a result of this package."},
            "422": _response("There is no report: no readable DICOM object, or no circle and unmarked=wait.", "error"),
            **_errors("400", "401", "403", "404", "408", "413", "415", "500", "501", "503"),
        },
    }


def _parameter(name: str, description: str, kind: str = "string") -> Json:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind}}


def _response(description: str, schema: str) -> Json:
    return {"description": description, "content": {_JSON: {"schema": {"$ref": _PLACE + schema}}}}


def _errors(*statuses: str) -> Json:
    return {status: _response(_ERRORS[status], "error") for status in statuses}


def _get(summary: str, schema: str, *errors: str) -> Json:
    return {"summary": summary, "responses": {"200": _response(summary, schema), **_errors(*errors)}}


def _schemas() -> Json:
    """Return the schemas of the predictions as they are in the file, and those of the service."""
    text = schema_file().read_text(encoding="utf-8").replace('"#/$defs/', f'"{_PLACE}')
    found: Json = json.loads(text)["$defs"]
    string, boolean, thing = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
    # with heatmap=1 there is also a PNG to lay over the image
    found["heatmap"]["properties"] |= {
        "media_type": {"description": "Over HTTP only: image/png.", "const": "image/png"},
        "data": {"description": "Over HTTP only: base64 of an RGBA PNG of the image's size.", **string},
    }
    row = {
        "type": "object",
        "required": ["name", "version", "summary", "labels", "positive", "region", "default", "state"],
        "properties": {
            **dict.fromkeys(("name", "version", "summary"), string),
            **{name: {"type": "array", "items": string} for name in ("labels", "positive")},
            "region": {"description": "Whether the model requires a marked region.", **boolean},
            "microns_per_pixel": {"type": ["number", "null"]},
            "default": {"description": "Whether it answers if a request names no model.", **boolean},
            "state": {"enum": ["testing", "ready", "failed"]},
        },
    }
    error = {
        "type": "object",
        "required": ["kind", "code", "message"],
        "properties": {
            "kind": {
                "description": "request: change the request. server: tell the operator.",
                "enum": ["request", "server"],
            },
            "code": {"description": "Stable, for programs.", **string},
            "message": {"description": "For people; it may change.", **string},
        },
    }
    about = {"bundle": string, "manifest": thing, "card": string, "site_policy": thing}
    models = {"type": "object", "properties": {"models": {"type": "array", "items": {"$ref": _PLACE + "modelRow"}}}}
    return {
        **found,
        "slide": {"description": "docs/reference/json.md, edge-tiles/1.", **thing},
        "modelRow": row,
        "models": models,
        "model": {"allOf": [{"$ref": _PLACE + "modelRow"}, {"properties": about}]},
        "health": {"type": "object", "required": ["status"], "properties": {"status": string, "models": thing}},
        "error": {"type": "object", "required": ["error"], "properties": {"error": error}},
        "protocolError": {"type": "object", "required": ["error"], "properties": {"error": string}},
    }
