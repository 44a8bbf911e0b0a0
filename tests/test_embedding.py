"""Every program in docs/embedding.md runs as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
SAYS = {
    "One picture": r"POSITIVE score 0\.\d{4} ABOVE_CUTOFF",
    "Frames from a camera": r"frame 2 (POSITIVE|NEGATIVE|REFER) [\d.]+ ms",
    "A folder, on all cores": r"a\.png POSITIVE\n.*b\.png failed: image_\w+\n.*c\.png POSITIVE",
    "A slide, tile by tile": r"\(10, 8\) tiles; \d+ positive; 0 left out",
    "Why, as a heatmap": r"malignant grad-cam \(50, 50\) largest at \(\d+, \d+\)",
    "Several threads": "1 kind of answer from 8 calls",
    "A model of your own": r"not to be trusted: \[bundle_not_found\]",
    "Interpreter and threads": "litert int8",
}


def test_every_program_is_known_here() -> None:
    assert [heading for heading, _ in PROGRAMS] == list(SAYS)
    assert TEXT.count("```python") == len(PROGRAMS)


@pytest.mark.parametrize("heading, program", PROGRAMS, ids=[heading for heading, _ in PROGRAMS])
def test_a_program_runs_as_it_stands(heading: str, program: str, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("image.png", "pictures/a.png", "pictures/c.png"):
        shutil.copyfile(ROOT / "docs" / "phantom.png", tmp_path / name)
    (tmp_path / "pictures" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(SAYS[heading], done.stdout), done.stdout
