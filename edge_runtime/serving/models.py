"""The models of the service: loaded once, replaced when their name refers to another bundle, tested before use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from edge_runtime.bundle.bundle import Bundle, find, key_in_force, shipped
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.bundle.registry.model_state import State, model_state
from edge_runtime.bundle.registry.pointers import installed
from edge_runtime.errors import BundleNotFoundError, EdgeError, UsageError
from edge_runtime.inference.backends.base import Provider
from edge_runtime.predictor import Predictor
from edge_runtime.selftest.replay import selftest
from edge_runtime.serialisation.records import to_dict
from edge_runtime.serving.log import log
from edge_runtime.serving.problems import ProblemError


class ServedModel:
    """The predictors of one model name. Each thread takes one for a request and returns it."""

    def __init__(self, where: str, count: int, trusted_key: Path | None = None) -> None:
        """Load the model.

        Args:
            where: name or path of the bundle.
            count: number of predictors.
            trusted_key: as in :meth:`edge_runtime.Predictor.load`.

        Raises:
            EdgeError: the model cannot be loaded.
        """
        self._where, self._count, self._key = where, count, trusted_key
        self._state: State = model_state(where)
        self._idle: SimpleQueue[Predictor] = SimpleQueue()
        self.bundle = self._found()
        opened = self._opened()
        self.spec, self.digest = opened[0].spec, opened[0].digest
        for each in opened:
            self._idle.put(each)
        self.fault: str | None = "its self-test has not run yet"

    @contextmanager
    def predictor(self) -> Iterator[Predictor]:
        """Take a predictor; wait until one is idle."""
        taken = self._idle.get()
        try:
            yield taken
        finally:
            self._idle.put(taken)

    def test(self) -> None:
        """Replay the golden vectors; ``fault`` is then None, or what differs."""
        try:
            certificate = selftest(self.bundle, Provider.CPU)
            failed = [check.subject for check in certificate.failed()]
            self.fault = f"its self-test differs: {', '.join(failed)}" if failed else None
        except EdgeError as error:
            self.fault = f"its self-test cannot run [{error.code}]"

    def refresh(self) -> bool:
        """Load the bundle that the name refers to now, if it is another one. Return whether it was replaced.

        A bundle that cannot be used is logged, and the old one stays. Requests are answered meanwhile.
        """
        state = model_state(self._where)
        if state == self._state:
            return False
        self._state = state
        try:
            bundle = self._found()
            opened = self._opened()
        except EdgeError as error:
            log("model_refused", model=self.spec.name, code=error.code)
            return False
        if opened[0].digest == self.digest or opened[0].spec.name != self.spec.name:
            for each in opened:
                each.close()
            return False
        for each in opened:
            self._idle.get().close()  # waits for the request that uses it
            self._idle.put(each)
        self.bundle, self.spec, self.digest = bundle, opened[0].spec, opened[0].digest
        log("model_replaced", model=self.spec.name, version=self.spec.version, bundle=self.digest)
        self.test()
        return True

    def described(self, default: bool) -> dict[str, Any]:
        """Return the entry in the list of models."""
        return {
            "name": self.spec.name,
            "version": self.spec.version,
            "summary": self.spec.summary,
            "labels": list(self.spec.labels),
            "region": self.spec.region is not None,
            "default": default,
            "ready": self.fault is None,
        }

    def details(self) -> dict[str, Any]:
        """Return spec, measured figures and card."""
        card = "MODEL_CARD.md"
        text = self.bundle.read_file(card).decode("utf-8") if card in self.bundle.names else ""
        return {"manifest": to_dict(self.bundle.manifest), "bundle": self.digest, "card": text}

    def close(self) -> None:
        """Release the interpreters that are idle."""
        while not self._idle.empty():
            self._idle.get().close()

    def _found(self) -> Bundle:
        return find(self._where, trusted_key=key_in_force(self._key))

    def _opened(self) -> list[Predictor]:
        return [Predictor.load(self._where, trusted_key=self._key) for _ in range(self._count)]


class ModelPool:
    """The served models by name; the first one answers where a request names none."""

    def __init__(self, wanted: Sequence[str], count: int, trusted_key: Path | None = None) -> None:
        """Load the models.

        Args:
            wanted: names or paths; empty for all that are installed or shipped.
            count: predictors of each.
            trusted_key: as in :meth:`edge_runtime.Predictor.load`.

        Raises:
            EdgeError: a model that was asked for cannot be loaded, or there is none.
        """
        self._by_name: dict[str, ServedModel] = {}
        for where in wanted or _all_names():
            model = ServedModel(where, count, trusted_key)
            if model.spec.name in self._by_name:
                raise UsageError(f"found the model {model.spec.name} twice, expected each once. Name it once.")
            self._by_name[model.spec.name] = model
        self.default = next(iter(self._by_name))

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._by_name.values())

    def known(self, name: str) -> ServedModel:
        """Return the model of a name, whether its self-test has passed or not.

        Raises:
            BundleNotFoundError: no model of that name is served.
        """
        model = self._by_name.get(name)
        if model is None:
            known = ", ".join(self._by_name)
            raise BundleNotFoundError(
                f"found no model of that name, expected one of: {known}. GET /v1/models lists them.",
                code="model_not_served",
            )
        return model

    def find(self, name: str | None) -> ServedModel:
        """Return the model of a name, or the default one.

        Raises:
            BundleNotFoundError: no model of that name is served.
            ProblemError: its self-test has not passed (503).
        """
        model = self.known(name or self.default)
        if model.fault is not None:
            raise ProblemError(
                503,
                "model_not_ready",
                f"{model.spec.name} is not ready: {model.fault}. Run edge-bundle selftest {model.spec.name} here.",
                {"Retry-After": "1"},
            )
        return model

    def refresh(self) -> None:
        """Replace each model whose name refers to another bundle now."""
        for model in self:
            model.refresh()

    def test(self) -> None:
        """Run the self-test of each model."""
        for model in self:
            model.test()
            log("selftest", model=model.spec.name, passed=model.fault is None)

    def described(self) -> list[dict[str, Any]]:
        """Return an entry for each model."""
        return [model.described(model.spec.name == self.default) for model in self]

    @property
    def ready(self) -> bool:
        """Whether the self-test of every model has passed."""
        return all(model.fault is None for model in self)

    def close(self) -> None:
        """Release the interpreters."""
        for model in self:
            model.close()


def _all_names() -> list[str]:
    """Return the names of the installed and shipped models, the default one first."""
    default = model_in_force()
    names = sorted({*(found.name for found in installed()), *shipped()})
    return [default, *(name for name in names if name != default)]
