"""The site policy in force: given by the caller, by the environment, or installed for the model's name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.registry.site_pointers import installed_site_policy
from edge_runtime.errors import SitePolicyError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundle.site_policy_file import LoadedSitePolicy

SITE_POLICY = "EDGE_SITE_POLICY"
"""Environment variable with the path of the site policy's file, or ``none``."""
NO_SITE_POLICY = "none"
"""In place of a path: no site policy, even if one is installed."""


def load_site_policy(
    given: str | os.PathLike[str] | None, model: str, bundle: ModelFiles, trusted_key: Path | None
) -> LoadedSitePolicy | None:
    """Return the site policy in force for a model, verified; None if there is none.

    Args:
        given: path of a file, or :data:`NO_SITE_POLICY`. None takes the path in ``EDGE_SITE_POLICY``, else the one
            that is installed for the model's name.
        model: name or path that the bundle was opened by.
        bundle: the opened bundle.
        trusted_key: file of public keys; with it, only a policy that one of them signed is used.

    Raises:
        SitePolicyError: it is missing or invalid, or of another bundle.
        SignatureError, KeyFileError, SigningMissingError: as for a bundle.
    """
    path = site_policy_path(given, model)
    if path is None:
        return None
    from edge_runtime.bundle.site_policy_file import read_site_policy  # imported here: most models have none

    found = read_site_policy(path, trusted_key)
    found.check_for(bundle)
    return found


def site_policy_path(given: str | os.PathLike[str] | None, model: str) -> Path | None:
    """Return the file of the site policy in force for a model; None if there is none.

    Raises:
        SitePolicyError: the given path is empty, or the list of installed policies cannot be read.
    """
    named = os.environ.get(SITE_POLICY) if given is None else os.fspath(given)
    if named is None:
        return installed_site_policy(model)
    if not named.strip():
        raise SitePolicyError(
            f"Found an empty path for the site policy, expected a file or {NO_SITE_POLICY}. Name it, or unset "
            f"{SITE_POLICY}.",
            code="site_policy_missing",
        )
    if named == NO_SITE_POLICY:
        return None
    from pathlib import Path  # imported here, as above

    return Path(named).absolute()
