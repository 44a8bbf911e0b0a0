"""What can be wrong with a line of an audit log, in words."""

from __future__ import annotations

from edge_runtime.assurance.audit.entry import EntryError, Link, SealedEntry, from_line
from edge_runtime.assurance.audit.events import Lost


def fault_of(line: bytes) -> str:
    """Return why a line is no entry; empty if it was named already, as it states its place."""
    try:
        from_line(line)
    except EntryError as error:
        return "" if error.link is not None else str(error)
    return ""


def break_of(sealed: SealedEntry, last: Link, hashes: dict[str, int]) -> str:
    """Return why an entry does not follow the one before it; empty if it does."""
    number, expected = sealed.entry.number, last.number + 1
    if number == expected and sealed.entry.previous == last.hash:
        return ""
    if sealed.hash in hashes:
        return f"a copy of entry {number}, which is above"
    if number > expected:
        missing = f"entry {expected}" if number == expected + 1 else f"entries {expected} to {number - 1}"
        return f"found entry {number}: {missing} was removed or moved"
    if number < expected:
        return f"found entry {number}, expected {expected}: a line was moved or inserted"
    return f"found entry {number}, which does not follow the line above: one of the two was replaced"


def loss_of(event: Lost) -> str:
    """Return what a run found of its own entries."""
    if not event.found:
        return f"entries 1 to {event.number} were removed while the service ran"
    if event.found == event.number:
        return f"entry {event.number} was replaced while the service ran"
    return f"entries {event.found + 1} to {event.number} were cut off while the service ran"
