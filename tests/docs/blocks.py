"""The programs and commands that stand in README and docs, as they stand there, and how each is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = ("sh", "bash", "console", "python")
_FENCE = re.compile(r"^```(\w*)")
_NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")
_STATUS = re.compile(r"^\[status (\d+)\]$")
_COMMANDS = {
    "edge-predict": "from edge_runtime.cli.start import run; run()",
    "edge-bundle": "from edge_runtime.cli.bundle import main; main()",
}
_MASKS = (
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    (r"\b[0-9a-f]{16}\b", "FINGERPRINT"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b[\d.]+ ms\b", "DURATION"),
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        heading: the nearest heading above it.
        reason: why it is not run; None where it is.
    """

    page: str
    line: int
    heading: str
    language: str
    text: str
    reason: str | None


@dataclass(frozen=True)
class Told:
    """A command of a console block: what the page says that it prints, and its status."""

    command: str
    output: str
    status: int


def blocks(path: Path) -> list[Block]:
    """Every fenced block of a page, with the comments on the lines directly before it."""
    lines, found, heading = path.read_text(encoding="utf-8").splitlines(), [], ""
    number = 0
    while number < len(lines):
        if lines[number].startswith("#"):
            heading = lines[number].lstrip("# ")
        fence = _FENCE.match(lines[number])
        if fence is None:
            number += 1
            continue
        end = next(i for i in range(number + 1, len(lines)) if lines[i].startswith("```"))
        reason, above = None, number - 1
        while above >= 0 and lines[above].startswith("<!--"):
            given = _NOT_RUN.match(lines[above])
            reason, above = (given[1] if given else reason), above - 1
        text = "\n".join(lines[number + 1 : end]) + "\n"
        page = path.relative_to(ROOT).as_posix()
        found.append(Block(page, number + 1, heading, fence[1], text, reason))
        number = end + 1
    return found


def told(text: str) -> list[Told]:
    """The commands of a console block, each begun by ``$`` and gone on with after a backslash."""
    found: list[Told] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        count = 1 + next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        output = [line for line in lines[count:] if not _STATUS.match(line)]
        statuses = [int(status[1]) for line in lines[count:] if (status := _STATUS.match(line))]
        found.append(Told("\n".join(lines[:count]), "\n".join(output), statuses[0] if statuses else 0))
    return found


class Reader:
    """Someone who follows a page from its top, in a folder of their own."""

    def __init__(self, place: Path) -> None:
        """Lay out what pages take for granted."""
        self.place, tools, self._home = place / "here", place / "tools", place / "home"
        for folder in (self.place / "docs", self.place / "incoming", tools, self._home):
            folder.mkdir(parents=True)
        phantom = ROOT / "docs" / "phantom.png"
        for name in ("docs/phantom.png", "image.png", "patch.png", "incoming/a.png", "incoming/c.png"):
            shutil.copyfile(phantom, self.place / name)
        (self.place / "incoming" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        shutil.copytree(self.place / "incoming", self.place / "images")
        shutil.copyfile(phantom, self.place / "images" / "b.png")
        (self.place / "film.pgm").write_bytes(b"P5 1024 1024 255\n" + bytes(range(256)) * 4096)
        for name, program in _COMMANDS.items():
            (tools / name).write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{program}' \"$@\"\n", encoding="utf-8")
        (tools / "python").write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n", encoding="utf-8")
        for tool in tools.iterdir():
            tool.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
        home = {"HOME": str(self._home), "XDG_CACHE_HOME": str(place / "cache")}
        kept.pop("XDG_DATA_HOME", None)
        self._environment = {**kept, **home, "PATH": f"{tools}:{kept['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, with stdout and stderr in one, as a terminal shows them."""
        return subprocess.run(
            command,
            cwd=self.place,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )

    def plain(self, output: str) -> str:
        """What a page and this machine agree on: without times, keys, places and the width of lines."""
        output = output.replace(str(self._home), "/home/pi")
        for pattern, mark in _MASKS:
            output = re.sub(pattern, mark, output)
        return " ".join(output.split())

    def matches(self, output: str, page: str) -> bool:
        """Whether a page's output is what came; its ``…`` stands for anything."""
        parts = [re.escape(part.strip()) for part in self.plain(page).split("…")]
        return re.fullmatch(r"\s*.*?\s*".join(parts), self.plain(output), re.DOTALL) is not None
