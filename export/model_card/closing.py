"""Ethical considerations; caveats and recommendations."""

from __future__ import annotations

from edge_runtime.bundle.manifest import KERAS, Manifest
from export.model_card.markdown import cell, evaluation_of, figure_of, grouped_by, section


def ethics(manifest: Manifest) -> str:
    """Say what a wrong answer is, how often one is measured, and what the data bind."""
    record = manifest.training
    terms = ""
    if record is not None:
        bound = " **Research use only.**" if record.research_only else ""
        terms = f"Whoever uses the model is bound by the terms of its data: {record.licence}.{bound}"
    return section(
        "Ethical considerations",
        "A false NEGATIVE may delay a diagnosis, a false POSITIVE may bring an examination that nobody needed. "
        + _errors(manifest),
        "REFER is an answer: such a picture was not judged, and a person must look. Patients unlike those of the data "
        "may be served worse, and nothing here shows by how much.",
        terms,
    )


def _errors(manifest: Manifest) -> str:
    test = evaluation_of(manifest, KERAS, "test")
    found, spared = figure_of(test, "recall"), figure_of(test, "specificity")
    if found is None or spared is None:
        return "How often each happens was not measured here."
    return (
        f"At the cut-off, before any referral, {cell(found)} of the positive test pictures are called positive and "
        f"{cell(spared)} of the others are not."
    )


def caveats(manifest: Manifest) -> str:
    """Say what was never measured, and what to do before use."""
    spec, record = manifest.spec, manifest.training
    familiar = "" if spec.familiarity is not None else ", and it does not notice them by itself"
    small = "" if record is None else _small(manifest)
    return section(
        "Caveats and recommendations",
        "It judges one picture of the kind it was trained on and nothing else: other stains, scanners, magnifications "
        f"and organs were never measured{familiar}. The figures above are of {spec.name} {spec.version} alone.",
        small,
        "Before use: measure it on pictures of your own (`python -m training evaluate BUNDLE --data DIR --part all` "
        "where they have the published layout), replay its golden vectors on the device (`edge-bundle selftest`), and "
        "watch the share of REFER: one that moves says that the pictures have changed.",
    )


def _small(manifest: Manifest) -> str:
    record = manifest.training
    test = evaluation_of(manifest, KERAS, "test")
    if record is None or test is None:
        return ""
    return (
        f"The test part is {test.images} pictures of {test.groups} {grouped_by(manifest)} of one data set, from which "
        "the training part comes too: figures on another hospital's pictures may be far from these."
    )
