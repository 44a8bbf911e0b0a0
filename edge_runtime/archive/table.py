"""The table of results: one row for each image, with the keys of the JSON form as columns, in the same order."""

from __future__ import annotations

import json
from typing import Any

from edge_runtime.archive.packages import require
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.results.lines import line_of, to_line

ROWS_SCHEMA = "edge-archive-rows/1"
"""Version of the columns. The number changes when a column is added, removed or changes its meaning."""
RECORD, LINE = "record", "line"


def row_schema(metadata: dict[str, str], *, site_policy: bool = False) -> Any:
    """Return the Arrow schema of results.

    ``record`` is the number of the image in the plan. ``line`` is the JSON line itself, for the rare row with a text
    that is no Unicode, such as a file name in another encoding; the other columns show it escaped.

    Args:
        metadata: of the file, besides the version of the columns.
        site_policy: whether a site policy decides: the table has the column ``site_policy`` then.
    """
    pa = require("pyarrow")
    text, number = pa.string(), pa.float64()
    point = pa.struct([("x", number), ("y", number), ("radius", number)])
    timing = pa.struct([("decode", number), ("prepare", number), ("run", number)])
    policy = pa.struct([("name", text), ("version", pa.int64()), ("sha256", text)])
    error = pa.struct([("kind", text), ("code", text), ("message", text)])
    columns = (
        *((RECORD, pa.int64()), ("schema", text), ("image", text), ("time", text), ("bundle", text), ("sha256", text)),
        *(("region", point), ("model", text), ("version", text), ("label", text), ("scores", pa.map_(text, number))),
        *(("score", number), ("confidence", number), ("cutoff", number), ("confidence_floor", number), ("site", text)),
        *((("site_policy", policy),) if site_policy else ()),
        *(("decision", text), ("reason", text), ("familiarity", number), ("contract", text), ("backend", text)),
        *(("precision", text), ("fallback", text), ("ms", timing), ("error", error), (LINE, text)),
    )
    fields = [pa.field(name, kind, nullable=name != RECORD) for name, kind in columns]
    return pa.schema(fields, metadata={"edge-archive": ROWS_SCHEMA, **metadata})


def row_of(record: int, answer: Prediction | Failure) -> dict[str, Any]:
    """Return the row of one result."""
    fields: dict[str, Any] = {RECORD: record, **answer.to_dict()}
    if "scores" in fields:
        fields["scores"] = list(fields["scores"].items())
    if "burnt_in_text" in fields:  # no column, so that the tables of older archives stay as they are
        fields[LINE] = to_line(answer)
    if not _is_unicode(fields["image"]) or not _is_unicode(fields.get("error", {}).get("message", "")):
        fields[LINE] = to_line(answer)
        fields = _escaped(fields)
    return fields


def line_of_row(row: dict[str, Any]) -> str:
    """Return the JSON line of a row, as ``edge-predict --json`` prints it."""
    if row[LINE] is not None:
        return str(row[LINE])
    fields = {name: value for name, value in row.items() if value is not None and name not in (RECORD, LINE)}
    if "scores" in fields:
        fields["scores"] = dict(fields["scores"])
    return line_of(fields)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # os.fsdecode keeps undecodable bytes as surrogates
        return False
    return True


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value if _is_unicode(value) else json.dumps(value)[1:-1]
    return {key: _escaped(item) for key, item in value.items()} if isinstance(value, dict) else value
