"""What mkdocs does beside its plugins: no comment and no role of Sphinx is shown."""

from __future__ import annotations

import re
from typing import Any

_HIDDEN = re.compile(r"<!--.*?-->\n?|:(?:attr|class|data|exc|func|meth|mod):(?=<code>)", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Take out comments, which are for tests, and ``:meth:`` before code."""
    return _HIDDEN.sub("", html)
