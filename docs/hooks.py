"""What mkdocs does beside its plugins: roles of Sphinx in docstrings are shown as code alone."""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:
    """Turn ``:meth:`` before code into nothing."""
    return _ROLE.sub("", html)
