"""System 4's reproduction: it does not ship; tests use it by its path."""

from __future__ import annotations

from tests.places import ROOT

ARTIFACT = ROOT / "training" / "models" / "idc-patch"
BUNDLE = ARTIFACT / "bundle"
