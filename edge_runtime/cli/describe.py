"""The text of ``edge-bundle list`` and ``edge-bundle info``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle import bundle as bundles
from edge_runtime.bundle.bundle import SIGNATURE, Bundle
from edge_runtime.bundle.manifest import Evaluation, Manifest
from edge_runtime.bundle.quantisation import without_int8
from edge_runtime.bundle.registry.pointers import installed
from edge_runtime.bundle.registry.site_pointers import installed_site_policy
from edge_runtime.bundle.signing.signatures import read_signature, signer_name
from edge_runtime.bundle.site_policy_file import read_site_policy
from edge_runtime.platform.escaped_names import shown
from edge_runtime.serialisation.records import canonical_json


@dataclass(frozen=True)
class BundleRow:
    """An installed or shipped bundle. ``state`` says whether its name refers to it."""

    name: str
    version: str | None  # None for shipped bundles: only the manifest contains it
    folder: Path
    state: str


def rows() -> Iterator[BundleRow]:
    """Yield the installed bundles, the current version of each first, then the shipped ones.

    Raises:
        StoreError: the folder of installed bundles cannot be read.
    """
    here = installed()
    for found in here:
        yield BundleRow(
            found.name, found.version, found.folder, f"installed, {'current' if found.current else 'previous'}"
        )
    names = {found.name for found in here}
    for name in bundles.shipped():
        state = "shipped, hidden by the installed one" if name in names else "shipped, current"
        yield BundleRow(name, None, Path(bundles.SHIPPED, name), state)


def site_state(row: BundleRow) -> str:
    """Return which site policy is in force, for the version that the name refers to; empty without one.

    Raises:
        SitePolicyError: the installed site policy cannot be read.
    """
    if not row.state.endswith("current"):
        return ""
    path = installed_site_policy(row.name)
    return "" if path is None else f"; site policy {read_site_policy(path).id}"


def describe(bundle: Bundle) -> str:
    """Return a bundle as text: its path, signature, spec, files, training data and measured figures."""
    state = next((row.state for row in rows() if str(row.folder) == bundle.where), "named by its path")
    first, *rest = _lines(bundle.manifest)
    here = [first, f"found        {shown(bundle.where)} ({state})", f"signature    {_signature(bundle)}"]
    path = installed_site_policy(bundle.manifest.spec.name) if state.endswith("current") else None
    if path is not None:
        here.append(f"site policy  {read_site_policy(path).id} is in force; edge-bundle site-policy show tells more")
    return "\n".join([*here, *rest])


def _signature(bundle: Bundle) -> str:
    if SIGNATURE not in bundle.names:
        return "none"
    name = signer_name(read_signature(bundle.read_file, bundle.where), bundle.where)
    return f"says key {name[:16]}; edge-bundle verify --key PUBLIC checks it"


def _lines(manifest: Manifest) -> list[str]:
    spec = manifest.spec
    together = "" if spec.policy.neighbours is None else f", neighbours {spec.policy.neighbours:g} in slides"
    lines = [
        f"{spec.name} {spec.version}: {spec.summary}",
        f"labels       {', '.join(spec.labels)} (positive: {', '.join(spec.positive)}); {spec.head.value}",
        f"policy       cut-off {spec.policy.cutoff:g}, confidence floor {spec.policy.confidence_floor:g}, "
        f"guard band {manifest.guard_band:.4f}{together}",
        f"contract     {manifest.contract}",
        "steps        " + "\n             ".join(canonical_json(step) for step in spec.steps),
        "files        " + "\n             ".join(f"{f.name}  {f.size_bytes:,} bytes" for f in manifest.files),
    ]
    if manifest.quantised:
        shares = (f"{row.file}  {row.text()}" for row in manifest.quantised)
        lines.append("quantised    " + "\n             ".join(shares))
    lines += [f"no int8      {why}" for why in without_int8(manifest.attempts).values()]
    if spec.region is not None:
        lines.append(f"region       a marked region is required; cut {canonical_json(spec.region)}")
    if spec.microns_per_pixel is not None:
        lines.append(f"scale        {spec.microns_per_pixel:g} microns per pixel")
    if manifest.training is not None:
        research = "; RESEARCH USE ONLY" if manifest.training.research_only else ""
        lines += [
            f"trained on   {manifest.training.dataset}; {manifest.training.licence}{research}",
            f"split        {manifest.training.split}",
        ]
    lines += [_figures(evaluation) for evaluation in manifest.evaluations]
    return lines


def _figures(evaluation: Evaluation) -> str:
    shown = [f for f in evaluation.figures if f.name in ("balanced accuracy", "auroc")]
    figures = ", ".join(f"{figure.name} {figure.text()}" for figure in shown)
    return f"measured     {evaluation.subject} on {evaluation.part} ({evaluation.groups} patients): {figures}"
