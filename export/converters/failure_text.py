"""What is worth keeping of a converter's failure: its first line, and the operator that it complains about."""

from __future__ import annotations

import re

_LONGEST = 200

_DUMP = re.compile(r"\s*(?:<unknown>|loc\(|error: |\bNode: \{|==> Context)")
"""Where the compiler's own text begins in a line."""

_OPERATORS = (
    r"'tfl?\.(\w+)' op",
    r"No Op registered for (\w+)",
    r"Tensorflow op \[[^\]]*: (\w+)\]",
    r"\btf\.(\w+) (?:op )?is neither",
    r"Flex ops: (?:Flex)?(\w+)",
    r"Op type not registered '(\w+)'",
)


def operator_in(text: str) -> str:
    """Return the operator that a converter's text complains about; empty if there is none."""
    found = next((match for pattern in _OPERATORS if (match := re.search(pattern, text))), None)
    return found.group(1) if found else ""


def first_line(failure: str) -> str:
    """Return the first line of an error without a compiler's dump, with the operator if one is named further on."""
    line = _DUMP.split((failure.splitlines() or [failure])[0])[0][:_LONGEST].rstrip(" :")
    operator = operator_in(failure)
    return f"{line} (operator {operator})" if operator and operator not in line else line
