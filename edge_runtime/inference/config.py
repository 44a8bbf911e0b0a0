"""Class :class:`PredictorConfig`: everything that is needed to load the same model again, in another process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.bundle.bundle import is_name
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.site_policy_in_force import NO_SITE_POLICY
from edge_runtime.errors import IntegrityError
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.serialisation.frozen import dataclass

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundle.site_policy_file import LoadedSitePolicy


@dataclass(frozen=True)
class PredictorConfig:
    """The arguments of :meth:`edge_runtime.Predictor.load`, and the model that they led to. It can be pickled.

    Attributes:
        model: name of an installed or shipped model, or the absolute path of a bundle or model file.
        backend: the interpreter; the one that was chosen, if the predictor was loaded.
        precision: the requested precision.
        threads: threads inside the interpreter.
        trusted_key: absolute path of the file with public keys; None if no key was trusted.
        provider: the device that onnxruntime computes on.
        bundle: SHA-256 of the bundle's ``bundle.json``, or of the single model file. A model with another one is
            rejected; None accepts any.
        site_policy: file of the site policy, or ``none``; None takes the environment's or the installed one.
        site_policy_sha256: SHA-256 of that file. Another one is rejected; None accepts any.
    """

    model: str
    backend: Runtime = Runtime.AUTO
    precision: Precision = Precision.INT8
    threads: int = 1
    trusted_key: Path | None = None
    provider: Provider = Provider.CPU
    bundle: str | None = None
    site_policy: str | None = None
    site_policy_sha256: str | None = None

    def check(self, bundle: str, site_policy: LoadedSitePolicy | None) -> None:
        """Reject another bundle or site policy than this configuration names.

        Args:
            bundle: SHA-256 of the bundle that was found.
            site_policy: the site policy that was found.

        Raises:
            IntegrityError: ``bundle_changed`` or ``site_policy_changed``.
        """
        if self.bundle not in (None, bundle):
            raise IntegrityError(
                f"{self.model}: found bundle {bundle}, expected {self.bundle}. Install the same version here.",
                code="bundle_changed",
            )
        sha256 = None if site_policy is None else site_policy.sha256
        if self.site_policy_sha256 not in (None, sha256):
            raise IntegrityError(
                f"{self.site_policy}: found site policy {sha256}, expected {self.site_policy_sha256}. "
                "Restore the file.",
                code="site_policy_changed",
            )

    def resolved(self, runtime: Runtime, bundle: str, site_policy: LoadedSitePolicy | None) -> PredictorConfig:
        """Return the configuration that opens the same model in another process, with absolute paths."""
        model = self.model
        if not is_name(model):
            from pathlib import Path  # imported here: most models have a name

            model = str(Path(model).absolute())
        return replace(
            self,
            model=model,
            backend=runtime,
            trusted_key=None if self.trusted_key is None else self.trusted_key.absolute(),
            bundle=bundle,
            site_policy=NO_SITE_POLICY if site_policy is None else str(site_policy.path),
            site_policy_sha256=None if site_policy is None else site_policy.sha256,
        )
