"""The card as a whole: which sections a manifest gives, in which order."""

from __future__ import annotations

from edge_runtime.bundle.manifest import Manifest
from export.model_card.analyses import analyses
from export.model_card.closing import caveats, ethics
from export.model_card.data import evaluation_data, split_audit, training_data
from export.model_card.details import details, factors, intended
from export.model_card.files import cost, parity, quantised
from export.model_card.heatmaps import heatmaps
from export.model_card.metrics import metrics, policy


def model_card(manifest: Manifest) -> str:
    """Return the card as Markdown."""
    spec = manifest.spec
    sections = [
        f"# {spec.name} {spec.version}",
        spec.summary,
        "**Decision support for trained people. Not a medical device; not for diagnosis.**",
        details(manifest),
        intended(manifest),
        factors(manifest),
        metrics(manifest),
        policy(manifest),
        evaluation_data(manifest),
        training_data(manifest),
        split_audit(manifest),
        *analyses(manifest),
        parity(manifest),
        heatmaps(manifest),
        quantised(manifest),
        cost(manifest),
        ethics(manifest),
        caveats(manifest),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
