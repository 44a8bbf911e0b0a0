"""Debian packages for another processor, fetched without root: a Python to emulate, and the emulator.

apt does it, with a state of its own below the cache folder: the machine's packages stay as they are. The mirror, the
proxy and the keys are those of the machine's own apt configuration. Nothing is installed: no maintainer script runs.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")  # of the package debian-archive-keyring
EMULATOR_SUITE = "trixie"
OLDEST_EMULATOR = 10
"""qemu 7.2 crashes on importing onnxruntime 1.30 and later; 10 does not."""

_SHADOWS = ("home", "media", "mnt", "opt", "root", "run", "srv", "tmp", "var", "usr/local", "usr/src")
"""Folders that would hide the machine's own from emulated programs, with the checkout and the cache in them."""

_CONFIGURATION = """\
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::State::lists "{state}/lists";
Dir::Cache "{state}";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{state}/sources";
APT::Architecture "{architecture}";
#clear APT::Architectures;
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"""


class UnavailableError(Exception):
    """What the check needs cannot be had on this machine; the message says what, and how to get it."""


def emulator(machine: str, cache: Path) -> Path:
    """Return a qemu of at least version 10 that runs programs of ``machine``: the installed one, or Debian's.

    Raises:
        UnavailableError: neither can be had.
    """
    name = f"qemu-{machine}"
    installed = shutil.which(name)
    if installed is not None and emulator_version(installed) >= OLDEST_EMULATOR:
        return Path(installed)
    kept = cache / f"{name}-{EMULATOR_SUITE}" / "usr" / "bin" / name
    if not kept.exists():
        here = _output([_tool("dpkg", "dpkg"), "--print-architecture"]).strip()
        with _whole(kept.parents[2]) as folder, _fetched(EMULATOR_SUITE, here, ["qemu-user"], cache) as packages:
            _unpack(packages, folder, only=f"./usr/bin/{name}")
    if emulator_version(str(kept)) < OLDEST_EMULATOR:
        raise UnavailableError(f"{kept}: found qemu older than {OLDEST_EMULATOR}. Install qemu-user of Debian trixie.")
    return kept


def emulator_version(program: str) -> int:
    """Return the major version that ``program --version`` tells, 0 if it tells none."""
    found = re.search(r"version (\d+)\.", _output([program, "--version"]))
    return int(found.group(1)) if found else 0


def python_root(suite: str, architecture: str, cache: Path) -> Path:
    """Return a folder that holds Debian's Python for ``architecture``, with the libraries that wheels need.

    Raises:
        UnavailableError: apt is missing, or its mirror cannot be reached.
    """
    root = cache / f"{suite}-{architecture}"
    if not root.exists():
        wanted = ["base-files", "python3", "libstdc++6"]
        with _whole(root) as folder, _fetched(suite, architecture, wanted, cache) as packages:
            _unpack(sorted(packages, key=lambda path: not path.name.startswith("base-files")), folder)
            for name in _SHADOWS:
                shutil.rmtree(folder / name, ignore_errors=True)
    return root


def mirror_in(targets: str, codename: str) -> str | None:
    """Return the mirror in lines ``RELEASE COMPONENT URI`` that serves the machine's own Debian, None without one."""
    rows = [line.split(maxsplit=2) for line in targets.splitlines()]
    own = [row[2] for row in rows if len(row) == 3 and row[0] in (codename, "stable") and row[1] == "main"]
    return own[0] if own else None


def _mirror() -> str:
    apt = _tool("apt-get", "apt")
    codename = ""
    with contextlib.suppress(OSError):
        codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    found = mirror_in(_output([apt, "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"]), codename)
    if found is None:
        raise UnavailableError(f"found no mirror of Debian {codename or '(unknown)'} main in apt's sources; add one.")
    return found


@contextlib.contextmanager
def _fetched(suite: str, architecture: str, names: Sequence[str], cache: Path) -> Iterator[list[Path]]:
    """Fetch packages and all that they depend on, by an apt that believes nothing to be installed."""
    mirror = _mirror()
    with tempfile.TemporaryDirectory(dir=cache, prefix="apt-") as name:
        state = Path(name)
        for folder in ("sources", "lists/partial", "archives/partial"):
            (state / folder).mkdir(parents=True)
        (state / "status").touch()
        (state / "conf").write_text(_CONFIGURATION.format(state=state, architecture=architecture), encoding="utf-8")
        signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""
        source = f"Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n{signed}"
        (state / "sources" / "debian.sources").write_text(source, encoding="utf-8")
        print(f"fetching {', '.join(names)} of Debian {suite} for {architecture}", file=sys.stderr)
        apt = [_tool("apt-get", "apt"), "-q", "-c", str(state / "conf")]
        _run([*apt, "update", "--error-on=any"])
        _run([*apt, "install", "--download-only", "--yes", "--no-install-recommends", *names])
        yield sorted((state / "archives").glob("*.deb"))


def _unpack(packages: Sequence[Path], folder: Path, only: str | None = None) -> None:
    dpkg, tar = _tool("dpkg-deb", "dpkg"), _tool("tar", "tar")
    members = [] if only is None else [only]
    for package in packages:
        with subprocess.Popen([dpkg, "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as archive:
            options = ["--no-same-owner", "--keep-directory-symlink", "-xf", "-", "-C", str(folder)]
            subprocess.run([tar, *options, *members], stdin=archive.stdout, check=True)


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield a new folder that becomes ``folder`` only once it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-part-"))
    try:
        yield part
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"found no {name}; install Debian's package {package}.")
    return found


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise UnavailableError(f"{Path(command[0]).name} failed: {''.join(said)} Is its mirror reachable?")


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
