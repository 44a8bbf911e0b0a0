"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)
"""A path, as ``pathlib.Path``."""
