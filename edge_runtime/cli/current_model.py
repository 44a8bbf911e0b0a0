"""The model of a running ``--watch``. A newly installed version is loaded between two images."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from edge_runtime.bundle.registry.model_state import State, model_state
from edge_runtime.cli.output import tell
from edge_runtime.errors import EdgeError, UsageError
from edge_runtime.images.region import check_asked
from edge_runtime.predictor import Predictor

_RETRY_S = 60.0
"""Seconds before a version that could not be opened is tried again."""


class CurrentModel:
    """The predictor of a model name, reloaded when the name refers to another bundle. Use as a context manager."""

    def __init__(
        self, predictor: Predictor, load: Callable[[], Predictor], name: str, site_policy: Path | None = None
    ) -> None:
        """Start with a predictor that ``load`` has just returned.

        Args:
            load: opens the bundle that the name refers to now.
            name: name or path of the model.
            site_policy: file of the site policy, if one was given instead of the installed one.
        """
        self.predictor, self._load, self._first = predictor, load, predictor
        self._name, self._files = name, () if site_policy is None else (site_policy,)
        self._state = self._look()
        self._retry_at = float("inf")

    def refresh(self) -> bool:
        """Reload the model if the name refers to another bundle. Return whether it was replaced.

        If the new bundle cannot be opened, report that once on stderr and keep the old one.
        """
        state = self._look()
        if state == self._state and time.monotonic() < self._retry_at:
            return False
        changed, self._state, self._retry_at = state != self._state, state, float("inf")
        try:
            new = self._opened()
        except EdgeError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            if changed:
                reason = f"the new model cannot be used [{error.code}]: {error.message}"
                spec = self.predictor.spec
                tell(f"{reason} Continuing with {spec.name} {spec.version}.")
            return False
        if new is None:
            return False
        old, self.predictor = self.predictor, new
        site = "no site policy" if new.site_policy is None else f"site policy {new.site_policy}"
        by = f"{new.spec.version} (bundle {new.digest[:16]}, {site})"
        tell(f"model {old.spec.name} {old.spec.version} is replaced by {by}.")
        old.close()
        return True

    def _opened(self) -> Predictor | None:
        """Return a predictor for the bundle and site policy in force now; None if both are open already."""
        new = self._load()
        if (new.digest, new.site_policy) == (self.predictor.digest, self.predictor.site_policy):
            new.close()
            return None
        try:
            if new.spec.dicom is None:  # else a circle may come beside the image
                check_asked(None, new.spec.region)
            if new.spec.name != self.predictor.spec.name:
                raise UsageError(f"found model {new.spec.name}, expected a version of {self.predictor.spec.name}.")
        except EdgeError:
            new.close()
            raise
        return new

    def _look(self) -> State:
        return model_state(self._name, self._files)

    def __enter__(self) -> CurrentModel:
        """Return the model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the current predictor, except the first one, which the caller opened."""
        if self.predictor is not self._first:
            self.predictor.close()
