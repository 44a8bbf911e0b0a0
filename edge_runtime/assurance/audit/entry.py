"""One entry of the audit log, its line and its hash.

A line is the canonical JSON of the entry with the key ``hash``: the SHA-256 of the canonical JSON without that key.
Each entry contains the hash of the one before it, so that the hash of the last entry stands for the whole log.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from edge_runtime.assurance.audit.events import Event
from edge_runtime.errors import ManifestError
from edge_runtime.serialisation.records import ABSENT, canonical_json, from_dict, parse_json, to_dict

SCHEMA = "edge-audit/1"
"""Version of the entries. The number changes when a key is added, removed or changes its meaning."""
HEAD = f'{{"audit":"{SCHEMA}",'.encode()
"""The start of every line."""
_ANY_HEAD = b'{"audit":"edge-audit/'
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Link:
    """The place of an entry in the chain: its number, from 1, and its hash (SHA-256, hex)."""

    number: int
    hash: str


ORIGIN = Link(0, "0" * 64)
"""What the first entry of a log follows."""


@dataclass(frozen=True)
class AuditEntry:
    """One entry.

    Attributes:
        audit: version of the form, :data:`SCHEMA`.
        number: 1 for the first entry of a log, and 1 more for each further one, also across files.
        previous: hash of the entry before it; zeros for the first.
        time: RFC 3339, UTC, to the millisecond, by this machine's clock.
        event: what happened.
        run: 16 random hexadecimal digits that the entries of one process share; None for single entries.
        boot: identifies the time between two starts of the machine; None where the system does not tell it.
        boot_ms: milliseconds since that start, which no setting of the clock changes.
        clock_jump_ms: change of the clock against ``boot_ms`` since the entry before; None if it is small.
    """

    audit: str
    number: int
    previous: str
    time: str
    event: Event
    run: str | None = field(default=None, metadata=ABSENT)
    boot: str | None = field(default=None, metadata=ABSENT)
    boot_ms: int | None = field(default=None, metadata=ABSENT)
    clock_jump_ms: int | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class SealedEntry:
    """An entry and its hash."""

    entry: AuditEntry
    hash: str

    @classmethod
    def of(cls, entry: AuditEntry) -> SealedEntry:
        """Return the entry with its hash."""
        return cls(entry, _hash_of(canonical_json(entry)))

    @property
    def link(self) -> Link:
        """Its place in the chain."""
        return Link(self.entry.number, self.hash)

    @property
    def line(self) -> bytes:
        """The line of the file, with its end."""
        return f"{canonical_json({**to_dict(self.entry), 'hash': self.hash})}\n".encode("ascii")


class EntryError(ValueError):
    """A line is no valid entry; the message says why.

    Attributes:
        link: number and hash that the line states, if it states them; an edited line still does.
    """

    def __init__(self, text: str, link: Link | None = None) -> None:
        super().__init__(text)
        self.link = link


def from_line(line: bytes) -> SealedEntry:
    """Return the entry of a line, with or without its end.

    Raises:
        EntryError: the line is no entry, was changed after it was written, or is of another release.
    """
    text = line.removesuffix(b"\n")
    try:
        fields = parse_json(text, "line")
    except ManifestError:
        raise EntryError("it is no JSON") from None
    if not isinstance(fields, dict) or not text.startswith(_ANY_HEAD):
        raise EntryError("it is no entry of an audit log")
    link = _stated(fields)
    if not text.startswith(HEAD):
        raise EntryError(f"it is of another release ({str(fields['audit'])[:40]}, this one reads {SCHEMA})", link)
    found = fields.pop("hash", None)
    body = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    if found != _hash_of(body) or text != json.dumps({**fields, "hash": found}, **_CANONICAL).encode("ascii"):
        raise EntryError("it was changed after it was written: its hash differs", link)
    try:
        return SealedEntry(from_dict(AuditEntry, fields, "entry"), found)
    except ManifestError as error:
        raise EntryError(f"it is no entry that this release knows ({error.message})", link) from None


_CANONICAL: dict[str, Any] = {"sort_keys": True, "separators": (",", ":")}


def is_torn(piece: bytes) -> bool:
    """Return whether bytes are what a power cut leaves of a line: its beginning, or zeros."""
    text = piece.strip(b"\0")
    if not text:
        return bool(piece)
    if not (text.startswith(HEAD) or HEAD.startswith(text)):
        return False
    try:
        parse_json(text, "line")
    except ManifestError:
        return True
    return False  # a whole line: nothing is missing from it


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _stated(fields: dict[str, Any]) -> Link | None:
    number, found = fields.get("number"), fields.get("hash")
    if type(number) is int and isinstance(found, str) and _HASH.fullmatch(found):
        return Link(number, found)
    return None
