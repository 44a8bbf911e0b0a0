"""The log: one JSON object a line on stderr. It has no file name, path, address, header or image in it."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress

from edge_runtime.inference.prediction import now
from edge_runtime.serving.exchange import Exchange


def tell(event: str, **fields: object) -> None:
    """Write one event. Do nothing if stderr is closed or full."""
    if sys.stderr is None:
        return
    record = {"time": now(), "event": event, **{key: value for key, value in fields.items() if value is not None}}
    with suppress(OSError, ValueError):
        sys.stderr.write(json.dumps(record) + "\n")  # one write: lines stay whole


def tell_request(exchange: Exchange, seconds: float) -> None:
    """Write one request."""
    tell(
        "request",
        request_id=exchange.request_id,
        route=exchange.route,
        status=exchange.status,
        model=exchange.model,
        code=exchange.code,
        ms=round(seconds * 1000.0, 3),
    )


def tell_fault(error: BaseException, request_id: str | None = None) -> None:
    """Write an unexpected exception by its type and place; its text could contain anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = None if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    tell("fault", request_id=request_id, kind=type(error).__name__, where=where)


class ServerLogHandler(logging.Handler):
    """Takes the messages of the HTTP server and of asyncio; only kind and place of an exception are kept."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a warning or an error."""
        if record.exc_info and record.exc_info[1] is not None:
            tell_fault(record.exc_info[1])
        else:
            tell("server", level=record.levelname.lower(), where=f"{record.module}:{record.lineno}")


def take_over_logging() -> None:
    """Send the messages of the HTTP server and of asyncio into this log."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate, logger.level = [], False, logging.WARNING
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addHandler(ServerLogHandler())
