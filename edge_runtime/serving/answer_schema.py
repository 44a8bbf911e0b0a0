"""The schema of answers, ``docs/prediction.schema.json``, for the description of the endpoints.

The wheel contains a copy of that file beside this module; a checkout has it in ``docs``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_NAME = "prediction.schema.json"


def answer_schema() -> dict[str, Any]:
    """Return the definitions of the schema by name; they refer to each other in ``#/components/schemas``."""
    here = Path(__file__).with_name(_NAME)
    path = here if here.is_file() else Path(__file__).parents[2] / "docs" / _NAME
    text = path.read_text(encoding="utf-8").replace("#/$defs/", "#/components/schemas/")
    found: dict[str, Any] = json.loads(text)["$defs"]
    return found
