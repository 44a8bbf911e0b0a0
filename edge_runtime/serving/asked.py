"""What a request asks for: the image, the model, the region and whether a heatmap is wanted."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import FormParser, parse_options_header
from starlette.requests import Request

from edge_runtime.errors import UsageError
from edge_runtime.images.region import Region
from edge_runtime.serving.body import BodyLimits, read_body
from edge_runtime.serving.problems import ProblemError

NAMELESS = "bytes"
"""The image's name in an answer, if the request gives none."""

_PARAMETERS = ("model", "region", "heatmap", "microns_per_pixel")


@dataclass(frozen=True)
class AskedImage:
    """One image of a request.

    Attributes:
        image: the bytes of the encoded image.
        name: its name in the answer; it is not logged.
        model: name of the model; None for the default one.
        region: the marked region, if there is one.
        heatmap: whether a heatmap is wanted.
        microns_per_pixel: the stated scale; None if it is unknown.
    """

    image: bytes
    name: str
    model: str | None
    region: Region | None
    heatmap: bool
    microns_per_pixel: float | None


async def asked_image(request: Request, limits: BodyLimits) -> AskedImage:
    """Read a request whose body is an image, or a form with the part ``image`` and the parameters as fields.

    Raises:
        ProblemError: an unknown or repeated parameter, or a form that cannot be read (400), or as in
            :func:`edge_runtime.serving.body.read_body`.
        RegionError: the region is not ``x,y,radius``.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        _set(given, name, value)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    body = await read_body(request, limits)
    image, name = body, NAMELESS
    if kind == b"multipart/form-data":
        fields, image, name = _form(body, options.get(b"boundary", b""))
        for field, value in fields:
            _set(given, field, value)
    region = Region.parse(given["region"]) if "region" in given else None
    heatmap = _flag(given.get("heatmap", "0"))
    return AskedImage(image, name, given.get("model"), region, heatmap, _scale(given.get("microns_per_pixel")))


def _set(given: dict[str, str], name: str, value: str) -> None:
    if name not in _PARAMETERS:
        raise ProblemError(400, "parameter_unknown", f"found an unknown parameter, expected {', '.join(_PARAMETERS)}.")
    if name in given:
        raise ProblemError(400, "parameter_repeated", f"found the parameter {name} twice, expected it once.")
    given[name] = value


def _flag(text: str) -> bool:
    known: Mapping[str, bool] = {"1": True, "true": True, "0": False, "false": False}
    if text not in known:
        raise ProblemError(400, "parameter_invalid", "found another value of heatmap, expected 1 or 0.")
    return known[text]


def _scale(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError("found a scale that is no number, expected microns_per_pixel as a number above 0.") from None


def _form(body: bytes, boundary: bytes) -> tuple[list[tuple[str, str]], bytes, str]:
    """Return the fields, the image and its name."""
    fields: list[tuple[str, str]] = []
    images: list[tuple[bytes, str]] = []

    def on_field(field: object) -> None:
        name, value = getattr(field, "field_name", b"") or b"", getattr(field, "value", b"") or b""
        if name == b"image":
            images.append((value, NAMELESS))
        else:
            fields.append((_text(name), _text(value)))

    def on_file(file: object) -> None:
        if getattr(file, "field_name", b"") != b"image":
            raise ProblemError(400, "form_invalid", "found a file in another part, expected it in the part image.")
        stream = file.file_object  # type: ignore[attr-defined]  # python-multipart's File
        stream.seek(0)
        images.append((stream.read(), _text(getattr(file, "file_name", b"") or NAMELESS.encode())))

    if not boundary or b"--" + boundary + b"--" not in body:  # the parser accepts a form that is cut off
        raise ProblemError(400, "form_invalid", "found a form without its end, expected multipart/form-data.")
    try:
        size = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
        parser = FormParser("multipart/form-data", on_field, on_file, boundary=boundary, config=size)
        parser.write(body)
        parser.finalize()
    except ProblemError:
        raise
    except (FormParserError, ValueError, KeyError, AttributeError, TypeError, io.UnsupportedOperation):
        raise ProblemError(400, "form_invalid", "found a damaged form, expected multipart/form-data.") from None
    if len(images) != 1 or not images[0][0]:
        raise ProblemError(400, "form_invalid", f"found {len(images)} parts image with content, expected one.")
    return fields, *images[0]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
