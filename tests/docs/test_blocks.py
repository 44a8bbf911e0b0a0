"""Every shell and Python block of README and docs runs as it stands, or says why it does not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, RUN, Block, Reader, blocks, told

EMBED = "docs/how-to/embed.md"
SAYS = {
    (EMBED, "One image"): r"POSITIVE score 0\.\d{4} ABOVE_CUTOFF",
    (EMBED, "Frames from a camera"): r"frame 2 (POSITIVE|NEGATIVE|REFER) [\d.]+ ms",
    (EMBED, "A folder, on all cores"): r"a\.png POSITIVE\n.*b\.png failed: image_\w+\n.*c\.png POSITIVE",
    (EMBED, "Why, as a heatmap"): r"malignant grad-cam \(50, 50\) largest at \(\d+, \d+\)",
    (EMBED, "Several threads"): "1 kind of answer from 8 calls",
    (EMBED, "A model of your own"): r"not to be trusted: \[bundle_not_found\]",
    ("docs/how-to/slides.md", "In Python"): r"^\(8, 10\) tiles; 56 of glass; read at 4\.0$",
    ("docs/how-to/slides.md", "An array"): r"\(10, 8\) tiles; \d+ positive; 0 left out",
    ("docs/how-to/heatmaps.md", "In Python"): r"^grad-cam \(3, 3\) \(0, 0, 50, 50\) \(50, 50\)$",
    ("docs/how-to/gpu.md", "Choose an interpreter"): "litert int8",
    ("docs/reference/preprocessing.md", "The preprocessing contract"): "^True$",
    ("docs/tutorials/first-prediction.md", "5. The same in Python"): r"^POSITIVE 0\.926\d+$",
    ("README.md", "Use"): "^POSITIVE 0.9262 ABOVE_CUTOFF$",
}
"""What programs print, by page and heading; those that print nothing define what test_reference.py uses."""


def signed_bundles(place: Path) -> None:
    """What the page on bundles begins with: ``b`` is a copy of system 4's bundle."""
    shutil.copytree(ROOT / "training" / "models" / "idc-patch" / "bundle", place / "b")


FROM_EXAMPLES = {"cpp": ("*.hpp", "*.cpp"), "javascript": ("*.mjs",)}
"""Languages whose blocks are parts of files in examples/."""
OF_SCHEDULERS = {"yaml", "groovy"}
"""Languages of recipes; the reason above each block names the test that runs its command."""
PREPARED: dict[str, Callable[[Path], None]] = {"docs/how-to/bundles.md": signed_bundles}
ALL = {page.relative_to(ROOT).as_posix(): blocks(page) for page in PAGES}
RUNNING = {
    page: [block for block in found if block.language in RUN and block.reason is None] for page, found in ALL.items()
}


def run_block(reader: Reader, block: Block) -> None:
    where = f"{block.page}:{block.line}"
    if block.language == "python":
        done = reader.run("python", "-c", block.text)
        assert done.returncode == 0, f"{where}: {done.stdout}"
        said = SAYS.get((block.page, block.heading))
        found = re.search(said, done.stdout.strip()) is not None if said else done.stdout == ""
        assert found, f"{where} printed: {done.stdout}"
    elif block.language == "console":
        for step in told(block.text):
            done = reader.run("bash", "-uc", step.command)
            assert done.returncode == step.status, f"{where}: {step.command}: {done.returncode}: {done.stdout}"
            if step.output:
                shown = f"{where}: {step.command} printed:\n{done.stdout}"
                assert reader.matches(done.stdout, step.output), shown
    else:
        done = reader.run("bash", "-euc", block.text)
        assert done.returncode == 0, f"{where}: {done.stdout}"


@pytest.mark.parametrize("page", [page for page, found in RUNNING.items() if found])
def test_the_blocks_of_a_page_run_from_its_top(page: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    PREPARED.get(page, lambda place: None)(reader.place)
    for block in RUNNING[page]:
        run_block(reader, block)


def test_blocks_name_their_language_and_no_comment_stands_alone() -> None:
    known = {*RUN, "", "json", *FROM_EXAMPLES}
    blocks_of_all = [block for found in ALL.values() for block in found]
    unknown = [
        b for b in blocks_of_all if b.language not in known and (b.language not in OF_SCHEDULERS or not b.reason)
    ]
    assert not [f"{b.page}:{b.line}: {b.language}" for b in unknown]
    for page in PAGES:
        comments = len(re.findall(r"^<!-- not run: ", page.read_text(encoding="utf-8"), re.MULTILINE))
        reasons = sum(block.reason is not None for block in ALL[page.relative_to(ROOT).as_posix()])
        assert comments == reasons, f"{page.name}: a reason stands above no block"


def test_programs_of_other_languages_stand_in_the_examples() -> None:
    """There they are built and run (tests/integration/examples)."""
    shown = [block for found in ALL.values() for block in found if block.language in FROM_EXAMPLES]
    assert len(shown) >= 3
    for block in shown:
        files = [path for pattern in FROM_EXAMPLES[block.language] for path in (ROOT / "examples").rglob(pattern)]
        assert any(block.text in path.read_text("utf-8") for path in files), f"{block.page}:{block.line}"


def test_a_reason_names_tests_that_exist() -> None:
    reasons = {block.reason for found in ALL.values() for block in found if block.reason}
    named = {path for reason in reasons for path in re.findall(r"\btests/[\w/.]*\w", reason)}
    assert named
    assert not sorted(path for path in named if not (ROOT / path).exists())


def test_most_programs_are_run() -> None:
    """A page that is changed cannot lose its programs to a comment unnoticed."""
    running = [block for found in RUNNING.values() for block in found]
    assert len([block for block in running if block.language == "python"]) >= 20
    assert len([block for block in running if block.language != "python"]) >= 15


def test_the_comparison_of_output_notices_a_difference(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.matches("a 12 ms b\nc\n", "a 9 ms\nb … c")
    assert reader.matches("first\nkey 0123456789abcdef\n", "…\nkey fedcba9876543210")
    assert not reader.matches("a b c\n", "a b")
    assert not reader.matches("a b c\n", "a … d")
