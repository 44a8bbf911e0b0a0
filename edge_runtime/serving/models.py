"""The models by name: whether they may answer, and the take-over of a bundle that was installed or rolled back."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from edge_runtime.bundle import bundle as bundles
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.bundle.registry.model_state import model_state
from edge_runtime.bundle.registry.pointers import installed
from edge_runtime.bundle.site_policy_file import read_site_policy
from edge_runtime.errors import EdgeError, UsageError
from edge_runtime.predictor import Predictor
from edge_runtime.serving.loaded_model import LoadedModel, ModelOptions
from edge_runtime.serving.problems import NOT_FOUND, Problem, busy

Tell = Callable[..., None]
"""Writes an event into the log: its name, then fields."""

Admit = Callable[["LoadedModel"], object]
"""Is told of a model just before it may answer."""

RETRY_S = 60.0
"""Seconds before a bundle that could not be taken over is tried again."""


class State(enum.Enum):
    """Whether a model may answer."""

    TESTING = "testing"  # the self-test runs
    READY = "ready"
    FAILED = "failed"  # the self-test did not pass


class ServedModel:
    """A model by its name: the loaded bundle, and whether it may answer."""

    def __init__(self, source: str, options: ModelOptions) -> None:
        """Load the model that ``source`` refers to. Its self-test follows in :meth:`refresh`.

        Raises:
            EdgeError: as in :class:`LoadedModel`.
        """
        self._source, self._options = source, options
        self._seen = model_state(source, options.site_policy_files)
        self._retry_at = float("inf")
        self.loaded = LoadedModel(source, options)
        self.name = self.loaded.manifest.spec.name
        self.state = State.TESTING

    @contextmanager
    def use(self) -> Iterator[LoadedModel]:
        """Give the bundle in force, which stays open inside the context.

        Raises:
            Problem: ``model_not_ready`` or ``selftest_failed``.
        """
        self.require_ready()
        loaded = self.loaded
        while not loaded.enter():
            loaded = self.loaded
        try:
            yield loaded
        finally:
            loaded.leave()

    def require_ready(self) -> None:
        """Raise the problem of a model that may not answer.

        Raises:
            Problem: ``model_not_ready`` or ``selftest_failed``.
        """
        if self.state is State.TESTING:
            raise busy("model_not_ready", f"The self-test of {self.name} has not ended.", 2)
        if self.state is State.FAILED:
            raise busy("selftest_failed", f"The self-test of {self.name} failed. See: edge-bundle selftest.", 60)

    def refresh(self, tell: Tell, admit: Admit = bool) -> None:
        """Run the self-test that is due, or take over another bundle if the name refers to one. It may take seconds."""
        if self.state is State.TESTING:
            self._first_test(tell, admit)
        seen = model_state(self._source, self._options.site_policy_files)
        if seen == self._seen and monotonic() < self._retry_at:
            return
        self._seen, self._retry_at = seen, float("inf")
        try:
            self._take_over(tell, admit)
        except EdgeError as error:
            self._retry_at = monotonic() + RETRY_S
            spec = self.loaded.manifest.spec
            tell("model_kept", model=self.name, version=spec.version, code=error.code)

    def _first_test(self, tell: Tell, admit: Admit) -> None:
        version = self.loaded.manifest.spec.version
        try:
            self.loaded.test()
        except EdgeError as error:
            self.state = State.FAILED
            tell("selftest_failed", model=self.name, version=version, code=error.code)
        else:
            admit(self.loaded)
            self.state = State.READY
            tell("model_ready", model=self.name, version=version, **_about(self.loaded.predictor))

    def _take_over(self, tell: Tell, admit: Admit) -> None:
        new = LoadedModel(self._source, self._options)
        old = self.loaded
        if (new.predictor.digest, new.predictor.site_policy) == (old.predictor.digest, old.predictor.site_policy):
            new.predictor.close()
            return
        try:
            if new.manifest.spec.name != self.name:
                raise UsageError(f"found model {new.manifest.spec.name}, expected a version of {self.name}.")
            new.test()
        except EdgeError:
            new.predictor.close()
            raise
        admit(new)
        self.loaded, self.state = new, State.READY
        old.retire()
        spec = new.manifest.spec
        tell("model_replaced", model=self.name, version=spec.version, **_about(new.predictor))


def _about(predictor: Predictor) -> dict[str, str]:
    policy = predictor.site_policy
    return {"bundle": predictor.digest} | ({} if policy is None else {"site_policy": f"{policy} {policy.sha256}"})


class Models:
    """All models of the service, by name."""

    def __init__(self, sources: tuple[str, ...], options: ModelOptions) -> None:
        """Load the models.

        Args:
            sources: names or paths, the default model first; empty for all installed and shipped models, where the
                default is that of ``edge-predict``.
            options: how they are opened.

        Raises:
            EdgeError: a model cannot be loaded, two have one name, or a site policy is for none of them.
        """
        self._options, self._all = options, not sources
        self._models: dict[str, ServedModel] = {}
        for source in sources or _every_name():
            self._add(source)
        for path in options.site_policy_files:
            if (name := read_site_policy(path).policy.model) not in self._models:
                raise UsageError(f"{path}: found a site policy for {name}, which is not served. Leave it out.")

    def _add(self, source: str) -> None:
        model = ServedModel(source, self._options)
        if model.name in self._models:
            raise UsageError(f"found two models named {model.name}, expected one of each name. Remove one.")
        self._models[model.name] = model

    def __iter__(self) -> Iterator[ServedModel]:
        """Iterate over the models in their order."""
        return iter(tuple(self._models.values()))

    @property
    def default(self) -> str:
        """Name of the model that answers if a request names none."""
        preferred = model_in_force()
        return preferred if self._all and preferred in self._models else next(iter(self._models))

    def get(self, name: str | None) -> ServedModel:
        """Return a model; the default one for None.

        Raises:
            Problem: ``model_not_served``.
        """
        found = self._models.get(self.default if name is None else name)
        if found is None:
            names = ", ".join(self._models)
            raise Problem(NOT_FOUND, "model_not_served", f"Found no such model, expected one of: {names}.")
        return found

    @property
    def ready(self) -> bool:
        """Whether the self-test of every model has passed."""
        return all(model.state is State.READY for model in self)

    def refresh(self, tell: Tell, admit: Admit = bool) -> None:
        """Run due self-tests and take over changed bundles; load newly installed ones if all models are served."""
        for model in self:
            model.refresh(tell, admit)
        if not self._all:
            return
        try:
            for name in _every_name():
                if name not in self._models:
                    self._add(name)
        except EdgeError as error:
            tell("model_unusable", code=error.code)

    def close(self) -> None:
        """Release the interpreters."""
        for model in self:
            model.loaded.retire()


def _every_name() -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(found.name for found in installed()), *bundles.shipped())))
