"""Another commit beside this checkout: its files in a git worktree, and an environment if its dependencies differ."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.contestant import ROOT
from benchmarks.environments import FOLDER


@dataclass(frozen=True)
class Revision:
    """A state of the code.

    Attributes:
        name: how the table calls it.
        root: folder with its ``edge_runtime``.
        python: interpreter of its environment.
    """

    name: str
    root: Path
    python: Path


@contextmanager
def beside(commit: str, scratch: Path) -> Iterator[tuple[Revision, Revision]]:
    """Check a commit out into ``scratch``; yield it and this checkout. The worktree is removed afterwards.

    If both need the same packages, this environment serves both, so that the code alone differs. Else each gets an
    environment with the packages that pip chooses for it.

    Raises:
        click.ClickException: git does not know the commit, or an environment cannot be made.
    """
    found = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    base = scratch / "base"
    _git("worktree", "add", "--detach", str(base), found)
    try:
        theirs, ours = Path(sys.executable), Path(sys.executable)
        if needs(base) != needs(ROOT):
            theirs, ours = _environment(f"base-{found[:12]}", base), _environment("checkout", ROOT)
        yield Revision(f"{commit} ({found[:9]})", base, theirs), Revision("this checkout", ROOT, ours)
    finally:
        _git("worktree", "remove", "--force", str(base))


def needs(root: Path) -> str:
    """Return the text of a checkout's dependencies: what ``[project]`` of pyproject.toml lists before its extras."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    _, _, rest = text.partition("\ndependencies = [")
    return rest.partition("\n]")[0]


def _environment(name: str, root: Path) -> Path:
    folder = FOLDER / name
    python = folder / "bin" / "python"
    click.echo(f"{name}: other packages are needed; installing them in {folder}", err=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(python), "-m", "pip", "install", "-q", f"{root}[onnx]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise click.ClickException(f"{name}: pip failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    # The checkout's own files are measured, not the copy that pip installed.
    subprocess.run([str(python), "-m", "pip", "uninstall", "-q", "-y", "edge-predict"], check=True)
    return python


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no message; does this checkout know the commit?"])[-1]
        raise click.ClickException(f"git {arguments[0]} {arguments[-1]}: {said}")
    return done.stdout.strip()
