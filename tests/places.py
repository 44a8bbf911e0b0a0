"""Where things lie, for tests that start programs or read documents."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
PUBLISHED = ROOT.parent / "shared"
"""The published images, where they lie beside the checkout."""
