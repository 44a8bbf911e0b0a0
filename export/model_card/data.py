"""Evaluation data, training data, and what the audit of the split found."""

from __future__ import annotations

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.metrics import NearCopies, SplitAudit
from export.model_card.markdown import grouped_by, section, sentence, table

_HELD_OUT = ("validation", "test")


def evaluation_data(manifest: Manifest) -> str:
    """Say on whom figures were measured."""
    record = manifest.training
    if record is None:
        return section("Evaluation data", f"The files were compared on {manifest.parity_source}.")
    groups = grouped_by(manifest)
    return section(
        "Evaluation data",
        f"Held-out {groups} of {record.dataset}. Every choice (stopping, thresholds, guard band) was made on "
        f"validation {groups}; test {groups} were read for the figures alone.",
        _parts(manifest, _HELD_OUT),
    )


def training_data(manifest: Manifest) -> str:
    """Say what the network was fitted on."""
    record = manifest.training
    if record is None:
        return section("Training data", "Not known here: the model was made elsewhere.")
    others = [part for part in record.images if part not in _HELD_OUT]
    return section(
        "Training data",
        f"{record.dataset}. {record.citation}. Licence: {record.licence}.",
        "**Research use only: the data set's terms bind this model too.**" if record.research_only else "",
        f"Split {record.split}.",
        _parts(manifest, others),
        "" if record.claims else record.caveat,  # beside a published claim it says why that does not hold
    )


def _parts(manifest: Manifest, parts: tuple[str, ...] | list[str]) -> str:
    record = manifest.training
    if record is None:
        return ""
    rows = [
        (part, str(record.groups.get(part, "")), str(record.images[part])) for part in parts if part in record.images
    ]
    return table(("part", grouped_by(manifest), "pictures"), rows)


def split_audit(manifest: Manifest) -> str:
    """Say what was looked for when the network was fitted: leaks of the split, copies, contradictions."""
    record = manifest.training
    if record is None:
        return ""
    if record.audit is None:
        found = ["Not recorded: this model was fitted by a release that did not look. `python -m training audit` does."]
    else:
        found = [_split(record.audit), _near(record.audit.near), " ".join(map(sentence, record.audit.notes))]
    return section("Split and leak audit", *found, level=3)


def _split(audit: SplitAudit) -> str:
    return (
        f"Measured when it was fitted: {audit.shared_groups} {audit.grouped_by} stand in more than one part; of the "
        f"validation and test pictures, {audit.seen_tensors} have the very tensor of a training picture."
    )


def _near(near: NearCopies | None) -> str:
    if near is None:
        return "Near copies were not looked for when it was fitted; `python -m training audit` does."
    return (
        f"{near.pictures} pictures were compared with each other after alignment: {near.pairs} pairs show the same "
        f"thing (likeness {near.threshold:g} or more), {near.exact} of them pixel by pixel, and {near.contradictions} "
        "carry different labels. Pictures of a pair stay on one side of the split."
    )
