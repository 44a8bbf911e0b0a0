"""Option types that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)
"""A path, parsed as ``pathlib.Path``."""
