"""Lines of a results file as tests compare them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from tests.places import ROOT

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA)


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line of a results file without its timings; each fits the schema."""
    found = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    for line in found:
        VALID.validate(line)
    return [{key: value for key, value in line.items() if key not in ("ms", "time", "check")} for line in found]


def images(path: Path) -> list[str]:
    return [line["image"] for line in lines(path)]
