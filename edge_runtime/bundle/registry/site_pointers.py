"""Read which site policy of a model is installed.

``STORE/NAME/site/N.json`` is a site policy, beside its signature. ``STORE/NAME/site/current.json`` names the one in
force. They lie outside the folders of versions, so that bundles keep their bytes. A new version of a bundle does not
remove them; a policy of another bundle is refused when the model is loaded.
:mod:`edge_runtime.bundle.registry.site_policies` changes them.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from edge_runtime.bundle.registry.pointers import is_name, read_pointer_file, store_path
from edge_runtime.errors import SitePolicyError
from edge_runtime.serialisation.frozen import dataclass

if TYPE_CHECKING:
    from pathlib import Path

FOLDER, POINTER = "site", "current.json"
SCHEMA = 1


@dataclass(frozen=True)
class SitePointer:
    """The content of ``STORE/NAME/site/current.json``.

    Attributes:
        current: version in force; None if the policy was removed.
        previous: version for a rollback; None if there is none.
        last: highest version that was ever installed, so that versions rise after a removal, too.
    """

    schema: int
    current: int | None
    previous: int | None
    last: int

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"found schema {self.schema}, expected {SCHEMA}.")
        for version in (self.current, self.previous):
            if version is not None and not 1 <= version <= self.last:
                raise ValueError(f"found version {version}, expected 1..{self.last}.")


def read_site_pointer(model: str) -> SitePointer | None:
    """Return the pointer of a model's site policies; None if none was ever installed.

    Raises:
        SitePolicyError: ``site_policy_store``: it cannot be read.
    """
    store = store_path()
    if store is None or not is_name(model):
        return None
    again = f"remove the site policy and install it again: edge-bundle site-policy remove {model}"
    error = partial(SitePolicyError, code="site_policy_store")
    return read_pointer_file(os.path.join(store, model, FOLDER, POINTER), SitePointer, error, again)


def installed_site_policy(model: str) -> Path | None:
    """Return the file of the installed site policy of a model; None if there is none, or ``model`` is a path.

    Raises:
        SitePolicyError: as in :func:`read_site_pointer`.
    """
    pointer, store = read_site_pointer(model), store_path()
    if pointer is None or pointer.current is None or store is None:
        return None
    return site_policy_file(store, model, pointer.current)


def next_version(model: str) -> int:
    """Return the version of the next site policy of a model."""
    pointer = read_site_pointer(model)
    return 1 if pointer is None else pointer.last + 1


def site_policy_file(store: str | Path, model: str, version: int) -> Path:
    """Return the path of an installed site policy."""
    from pathlib import Path  # imported here: most models have none

    return Path(store, model, FOLDER, f"{version}.json")
