"""Site policies made for tests, without a calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.site_policy import SCHEMA, Basis, Change, Interval, SitePolicy, Thresholds, Validation
from edge_runtime.bundle.site_policy_file import FILE, LoadedSitePolicy, read_site_policy

HALF = Interval(0.5, 0.4, 0.6)


def site_policy(
    bundle: Path | str, folder: Path, *, cutoff: float = 0.93, version: int = 1, temperature: float | None = None
) -> LoadedSitePolicy:
    """Write a site policy with another cut-off for a bundle, and return it."""
    found = find(bundle)
    spec = found.manifest.spec
    own = Thresholds.of(spec.policy)
    policy = SitePolicy(
        schema=SCHEMA,
        name="ward",
        version=version,
        model=spec.name,
        model_version=spec.version,
        bundle=found.digest,
        contract=spec.contract,
        thresholds=replace(own, cutoff=cutoff, temperature=temperature or own.temperature),
        replaced=own,
        target="For tests.",
        method="Chosen for tests.",
        cases=Basis("a" * 64, 20, 20, 40, "wrong", "wrong"),
        validation=Validation(10, (Change("sensitivity", 20, HALF, HALF, HALF),), cutoff, cutoff, "None.", 0.01, 1),
        date="2026-01-01T00:00:00.000Z",
        software="tests",
        notice="For tests.",
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(policy.to_bytes())
    return read_site_policy(folder)
