"""System 4's reproduction: it does not ship, and tests and benchmarks use it by its path.

It stands here because the benchmarks run as scripts, where nothing but the wheel and this folder can be imported.
"""

from __future__ import annotations

from pathlib import Path

ARTIFACT = Path(__file__).parents[2] / "training" / "models" / "idc-patch"
BUNDLE = ARTIFACT / "bundle"
