"""Read the file of a site policy, check its signature, and check that it is for the bundle it is used with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.bundle.site_policy import SitePolicy
from edge_runtime.errors import ManifestError, SignatureError, SitePolicyError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import read_regular, reason
from edge_runtime.serialisation.records import from_json

FILE, SIGNATURE_SUFFIX = "site-policy.json", ".sig"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class LoadedSitePolicy:
    """A site policy that was read from a file.

    Attributes:
        policy: the content.
        sha256: SHA-256 of the file's bytes.
        path: the file.
    """

    policy: SitePolicy
    sha256: str
    path: Path

    @property
    def id(self) -> SitePolicyId:
        """Name, version and SHA-256, as answers have them."""
        return SitePolicyId(self.policy.name, self.policy.version, self.sha256)

    def check_for(self, bundle: ModelFiles) -> None:
        """Reject a bundle that the policy was not made for.

        Raises:
            SitePolicyError: ``site_policy_other_model``, ``_other_version``, ``_other_bundle``, ``_other_contract`` or
                ``_other_thresholds``.
        """
        policy, spec = self.policy, bundle.manifest.spec
        pairs = (
            ("model", policy.model, spec.name),
            ("version", policy.model_version, spec.version),
            ("contract", policy.contract, spec.contract),
            ("bundle", policy.bundle, bundle.digest),
            ("thresholds", policy.replaced.applied_to(spec.policy), spec.policy),
        )
        for what, found, expected in pairs:
            if found != expected:
                names = "other thresholds" if what == "thresholds" else f"{found}, not {expected}"
                raise SitePolicyError(
                    f"{self.path}: found site policy {self.id} for another {what} than that of {bundle.where} "
                    f"({names}). Calibrate this bundle (edge-bundle calibrate-site), return to an earlier site policy "
                    f"(edge-bundle site-policy rollback {spec.name}), or remove it (edge-bundle site-policy remove "
                    f"{spec.name}).",
                    code=f"site_policy_other_{what}",
                )


def read_site_policy(path: Path, trusted_key: Path | None = None) -> LoadedSitePolicy:
    """Return the site policy in a file, or in ``site-policy.json`` of a folder.

    Args:
        path: the file or folder.
        trusted_key: file of public keys; with it, the signature beside the file is checked first.

    Raises:
        SitePolicyError: ``site_policy_missing`` or ``site_policy_invalid``.
        SignatureError: with a trusted key: there is no signature, or it is of another key or of other bytes.
        KeyFileError, SigningMissingError: as for a bundle.
    """
    path = path / FILE if path.is_dir() else path
    content = _read(path)
    if trusted_key is not None:
        _require_signature(path, content, trusted_key)
    try:
        policy = from_json(SitePolicy, content, str(path))
    except ManifestError as error:
        raise SitePolicyError(error.message, code="site_policy_invalid") from None
    return LoadedSitePolicy(policy, hashlib.sha256(content).hexdigest(), path)


def signature_path(path: Path) -> Path:
    """Return the path of the signature of a site policy's file."""
    return path.with_suffix(SIGNATURE_SUFFIX)


def _require_signature(path: Path, content: bytes, trusted_key: Path) -> None:
    from edge_runtime.bundle.signing.keys import read_public_keys
    from edge_runtime.bundle.signing.signatures import SITE_POLICY_DOMAIN, check

    keys = read_public_keys(trusted_key)
    try:
        signature = read_regular(signature_path(path), most=1 << 10)
    except OSError as error:
        if fault := machine_error(error, str(signature_path(path))):
            raise fault from None
        raise SignatureError(
            f"{path}: found no readable {signature_path(path).name} ({reason(error)}), expected a signature by the "
            "trusted key: repeat edge-bundle calibrate-site with --sign-key.",
            code="signature_missing",
        ) from None
    check(signature, content, keys, str(path), SITE_POLICY_DOMAIN)


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, most=_LARGEST)
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise SitePolicyError(
            f"{path}: found no readable site policy ({reason(error)}), expected the file that edge-bundle "
            "calibrate-site wrote. Name the file.",
            code="site_policy_missing",
        ) from None
