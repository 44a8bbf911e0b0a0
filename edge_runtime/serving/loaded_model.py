"""How models are opened, and one opened model with its self-test."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.bundle import Bundle, find, key_in_force
from edge_runtime.bundle.manifest import Manifest, Role
from edge_runtime.bundle.registry.site_pointers import installed_site_policy
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.site_policy_file import LoadedSitePolicy, read_site_policy
from edge_runtime.bundle.site_policy_in_force import NO_SITE_POLICY, load_site_policy
from edge_runtime.errors import BackendError
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.predictor import Predictor
from edge_runtime.selftest.certificate import Check
from edge_runtime.selftest.replay import load_golden, selftest


@dataclass(frozen=True)
class ModelOptions:
    """How models are opened; as the options of ``edge-predict``.

    Attributes:
        site_policies: files of site policies, each for the model that it names; ``none`` alone for none at all. A model
            without one has the installed one.
    """

    backend: Runtime = Runtime.AUTO
    provider: Provider = Provider.CPU
    threads: int = 1
    trusted_key: Path | None = None
    site_policies: tuple[str, ...] = ()

    def site_policy(self, source: str, bundle: Bundle) -> LoadedSitePolicy | None:
        """Return the site policy in force for a model; None if there is none.

        Args:
            source: name or path of the model.
            bundle: its bundle.

        Raises:
            SitePolicyError, SignatureError: as in :func:`load_site_policy`.
        """
        key = key_in_force(self.trusted_key)
        given = [path for path in self.site_policies if path != NO_SITE_POLICY]
        if not given:
            return load_site_policy(NO_SITE_POLICY if self.site_policies else None, source, bundle, key)
        for path in given:
            if read_site_policy(Path(path), key).policy.model == bundle.manifest.spec.name:
                return load_site_policy(path, source, bundle, key)
        installed = installed_site_policy(source)
        return load_site_policy(NO_SITE_POLICY if installed is None else installed, source, bundle, key)

    @property
    def site_policy_files(self) -> tuple[Path, ...]:
        """The files of site policies that were given."""
        return tuple(Path(path) for path in self.site_policies if path != NO_SITE_POLICY)


class LoadedModel:
    """A predictor with its bundle. It is closed when it was replaced and no request uses it any more.

    Attributes:
        certificate: SHA-256 of the certificate of its self-test here; None before it.
    """

    def __init__(self, source: str, options: ModelOptions) -> None:
        """Open the model that the name or path ``source`` refers to.

        Raises:
            BundleError: as in :meth:`Predictor.load`; also ``golden_missing``, as a self-test needs golden vectors.
            BackendError: as in :meth:`Predictor.load`.
        """
        self.bundle: Bundle = find(source, trusted_key=key_in_force(options.trusted_key))
        load_golden(self.bundle)
        self.manifest: Manifest = self.bundle.manifest
        policy = options.site_policy(source, self.bundle)
        self.predictor = Predictor(
            self.bundle, options.backend, Precision.INT8, options.threads, options.provider, policy
        )
        self.certificate: str | None = None
        self._lock, self._users, self._retired = threading.Lock(), 0, False

    def card(self) -> str:
        """Return the model card; empty if the bundle has none."""
        cards = self.manifest.of_role(Role.CARD)
        return self.bundle.content(cards[0]).decode("utf-8") if cards else ""

    def test(self) -> None:
        """Replay the golden vectors on the interpreter that answers.

        Raises:
            EdgeError: a result differs from the recorded one, or cannot be computed.
        """
        certificate = selftest(self.bundle, self.predictor.provider, self.predictor.runtime)
        self.certificate = certificate.sha256
        steps = [check.step.value for check in certificate.failed() if not self._is_replaced(check)]
        if steps:
            spec = self.manifest.spec
            raise BackendError(
                f"{spec.name} {spec.version}: the self-test failed ({', '.join(steps)}). See: edge-bundle selftest",
                code="selftest_failed",
            )

    def _is_replaced(self, check: Check) -> bool:
        """Return whether a check is of the file whose place the float32 file has taken on this machine."""
        answers = (known for known in self.predictor.known_answers.values() if not known.passed)
        return check.subject in {known.file for known in answers}

    def enter(self) -> bool:
        """Begin one use; return False if the model was replaced."""
        with self._lock:
            if self._retired:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """End one use."""
        with self._lock:
            self._users -= 1
            last = self._retired and self._users == 0
        if last:
            self.predictor.close()

    def retire(self) -> None:
        """Close the model as soon as no request uses it."""
        with self._lock:
            self._retired = True
            unused = self._users == 0
        if unused:
            self.predictor.close()
