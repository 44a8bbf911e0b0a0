"""The folders of a user's data and caches (XDG Base Directory Specification 0.8)."""

from __future__ import annotations

import os


def users_folder(variable: str, *below_home: str) -> str | None:
    """Return the folder in an environment variable, else one below the home folder; None for a user without a home.

    A relative path in the variable is ignored, as the specification says.
    """
    chosen, home = os.environ.get(variable, ""), os.path.expanduser("~")
    if os.path.isabs(chosen):
        return chosen
    return None if home.startswith("~") else os.path.join(home, *below_home)
