"""The card has the sections of Mitchell et al. 2019, and every figure in it is the manifest's."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.bundle.bundle import find, shipped
from edge_runtime.bundle.manifest import Distillation, Manifest, Role, TeacherModel
from edge_runtime.bundle.metrics import (
    Calibration,
    Figure,
    NearCopies,
    ReliabilityBin,
    SiteFigures,
    SplitAudit,
    Subgroup,
)
from export.model_card import model_card
from tests.system_4 import BUNDLE
from training.data.datasets import idc

SECTIONS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return find(BUNDLE).manifest


def _section(card: str, title: str) -> str:
    """Text below a heading of any level, up to the next."""
    return re.split(r"\n#+ ", card.split(f"# {title}", 1)[1])[0]


def _plain(manifest: Manifest) -> Manifest:
    """A manifest as releases before subgroups, calibration and audit wrote it."""
    assert manifest.training is not None
    old = tuple(replace(e, calibration=None, subgroups=()) for e in manifest.evaluations)
    return replace(manifest, training=replace(manifest.training, audit=None), evaluations=old)


@pytest.mark.parametrize("old", [False, True], ids=["now", "of an older release"])
def test_the_sections_are_those_of_the_paper_in_its_order(manifest: Manifest, old: bool) -> None:
    card = model_card(_plain(manifest) if old else manifest)
    assert re.findall(r"^## (.*)$", card, flags=re.MULTILINE) == SECTIONS
    for title in ("Decision policy", "Split and leak audit", "Exported files against the Keras model", "Cost"):
        assert f"\n### {title}\n" in card


@pytest.mark.parametrize("model", [BUNDLE, *shipped()], ids=str)
def test_a_committed_card_is_what_its_manifest_gives(model: str | Path) -> None:
    bundle = find(model)
    entry = next(entry for entry in bundle.manifest.files if entry.role is Role.CARD)
    assert bundle.content(entry).decode("utf-8") == model_card(bundle.manifest)


def test_every_figure_of_the_manifest_is_told_with_its_interval(manifest: Manifest) -> None:
    card = model_card(manifest)
    for evaluation in manifest.evaluations:
        for figure in evaluation.figures:
            if not figure.name.startswith("balanced accuracy at confidence"):
                assert figure.text() in card, (evaluation.subject, evaluation.part, figure)
    for entry in manifest.files:
        if entry.role is Role.MODEL:
            assert f"| {entry.name} | {entry.size_bytes:,} |" in card


def test_another_value_in_the_manifest_is_another_value_in_the_card(manifest: Manifest) -> None:
    """Figures are looked up, not typed: each one that is replaced disappears."""
    test = next(e for e in manifest.evaluations if (e.subject, e.part) == ("keras", "test"))
    strange = tuple(replace(f, value=0.123, low=0.045, high=0.678) for f in test.figures)
    others = tuple(replace(test, figures=strange, subgroups=()) if e is test else e for e in manifest.evaluations)
    assert manifest.training is not None
    card = model_card(replace(manifest, evaluations=others, training=replace(manifest.training, caveat="")))
    assert "0.123 [0.045, 0.678] of the positive test images are called positive" in card
    analysed = _section(card, "Measured on keras, test")
    assert test.figure("auroc").text() not in analysed and analysed.count("0.123 [0.045, 0.678]") >= 9


def test_the_weight_of_neighbours_is_told_where_there_is_one(manifest: Manifest) -> None:
    together = replace(manifest.spec, policy=replace(manifest.spec.policy, neighbours=0.25))
    said = _section(model_card(replace(manifest, spec=together)), "Decision policy")
    assert "neighbouring tiles count with a weight of 0.25" in said
    assert "neighbouring tiles" not in model_card(manifest)


def test_subgroups_calibration_and_audit_are_told(manifest: Manifest) -> None:
    test = next(e for e in manifest.evaluations if (e.subject, e.part) == ("keras", "test"))
    dense = Subgroup("tissue", "dense", 40, 20, 15, (Figure("auroc", 0.71, 0.6, 0.8), Figure("sensitivity", 0.5)))
    fatty = Subgroup("tissue", "fatty", 4, 2, 0, (Figure("specificity", 0.75),))
    calibration = Calibration(
        Figure("expected calibration error", 0.031, 0.01, 0.05), (ReliabilityBin(0.5, 0.61, 0.555, 0.432, 77),)
    )
    measured = replace(test, subgroups=(dense, fatty), calibration=calibration)
    audit = SplitAudit(3, 5, NearCopies(0.8, 900, 12, 7, 2), ("some images lie",), "clusters")
    assert manifest.training is not None
    card = model_card(replace(manifest, evaluations=(measured,), training=replace(manifest.training, audit=audit)))
    assert "| tissue: dense | 40 | 20 | 15 | 0.710 [0.600, 0.800] | 0.500 | – |" in card
    assert "| tissue: fatty | 4 | 2 | 0 | – | – | 0.750 |" in card
    assert "tissue (dense, fatty)" in _section(card, "Factors")
    assert "| 0.500–0.610 | 77 | 0.555 | 0.432 |" in card and "0.031 [0.010, 0.050]" in card
    found = _section(card, "Split and leak audit")
    assert "3 clusters are in more than one part" in found and "5 have the same tensor" in found
    assert "900 images were compared" in found and "12 pairs" in found and "7 of them have equal pixels" in found
    assert "Some images lie." in found
    assert "bootstrap over whole clusters" in card


def test_a_bar_in_a_name_splits_no_cell(manifest: Manifest) -> None:
    test = next(e for e in manifest.evaluations if (e.subject, e.part) == ("keras", "test"))
    split = replace(test, subgroups=(Subgroup("tissue", "a|b\nc", 4, 2, 0, ()),))
    assert "| tissue: a\\|b c | 4 | 2 | 0 |\n" in model_card(replace(manifest, evaluations=(split,)))


def test_no_paragraph_is_empty_and_the_last_line_ends(manifest: Manifest) -> None:
    card = model_card(manifest)
    assert "\n\n\n" not in card and card.endswith(".\n") and not card.endswith("\n\n")


def test_what_was_not_looked_for_is_said(manifest: Manifest) -> None:
    assert "Not recorded" in _section(model_card(_plain(manifest)), "Split and leak audit")
    assert "There are no figures by subgroup." in _section(model_card(_plain(manifest)), "Factors")
    assert "Near-duplicates were not searched for" in _section(model_card(manifest), "Split and leak audit")


def test_teachers_are_named_in_the_card_of_a_distilled_model_alone(manifest: Manifest) -> None:
    assert manifest.training is not None
    taught = Distillation(0.7, 2.0, (TeacherModel("one", "1.0.0", "a" * 64), TeacherModel("two", "2.1.0", "b" * 64)))
    card = model_card(replace(manifest, training=replace(manifest.training, distillation=taught)))
    found = _section(card, "Training data")
    assert "70 % of the loss was against the mean score of 2 teachers, at temperature 2" in found
    assert f"| one | 1.0.0 | `{'a' * 64}` |\n| two | 2.1.0 | `{'b' * 64}` |" in found
    assert "teacher" not in model_card(manifest)


def test_a_model_made_elsewhere_has_a_card_that_claims_nothing(manifest: Manifest) -> None:
    card = model_card(replace(manifest, training=None, evaluations=(), labelled=()))
    assert "made elsewhere" in _section(card, "Model details")
    assert "was not measured here" in _section(card, "Quantitative analyses")
    assert "How often each happens was not measured here." in card
    assert "patients never seen" not in card


def test_a_fit_records_its_audit_calibration_and_subgroups(phantom_bundle: Path, phantom_data: Path) -> None:
    manifest = find(phantom_bundle).manifest
    assert manifest.training is not None and manifest.training.audit is not None
    assert (manifest.training.audit.shared_groups, manifest.training.audit.seen_tensors) == (0, 0)
    assert all(evaluation.calibration is not None for evaluation in manifest.evaluations)
    traits = {trait for found in idc.load(phantom_data).traits.values() for trait in found}
    assert traits == {("patches of the patient", "up to the median of 16"), ("patch", "whole")}
    assert all(evaluation.subgroups == () for evaluation in manifest.evaluations)
    assert f"| {manifest.evaluations[0].calibration.error.name} |" in model_card(manifest)  # type: ignore[union-attr]


def test_figures_by_site_stand_first_and_never_seen_ones_before_the_others(manifest: Manifest) -> None:
    def figures(value: str, never_seen: bool, shift: Figure | None = None) -> SiteFigures:
        found = (Figure("auroc", 0.811 if never_seen else 0.9, 0.7, 0.95),)
        return SiteFigures("site", value, never_seen, 40, 20, 10, found, 0.41, shift)

    shift = Figure("auroc never seen minus in-site", -0.089, -0.15, -0.02)
    sites = (figures("all", True), figures("Brazil", True, shift), figures("Brazil", False))
    card = model_card(replace(manifest, sites=sites))
    section = _section(card, "By site and scanner")
    assert card.index("### By site and scanner") < card.index("### Published claim")
    assert "a site has to calibrate the cut-off on its own patients before use" in section
    seen, ours = section.split("In-site: test")
    assert "| site: Brazil | 40 | 20 | 10 | 0.811 [0.700, 0.950] | – | – | 0.410 | -0.089 [-0.150, -0.020] |" in seen
    assert "| site: Brazil | 40 | 20 | 10 | 0.900 [0.700, 0.950] | – | – | 0.410 |" in ours
    assert "Site and scanner: see" in _section(card, "Factors")
    assert "scanner and site of the patients are not recorded" not in card


def test_without_never_seen_figures_the_subgroups_by_site_are_shown_and_the_card_says_so(manifest: Manifest) -> None:
    subgroup = Subgroup("scanner", "GE Logiq 5", 30, 12, 9, (Figure("auroc", 0.75), Figure("answered", 0.9)))
    evaluations = tuple(replace(each, subgroups=(subgroup,)) for each in manifest.evaluations)
    section = _section(model_card(replace(manifest, evaluations=evaluations)), "By site and scanner")
    assert "that the network never saw were not measured" in section
    assert "| scanner: GE Logiq 5 | 30 | 12 | 9 | 0.750 |" in section
    assert "By site and scanner" not in model_card(manifest)


def test_a_warning_of_the_export_stands_before_everything_else(manifest: Manifest) -> None:
    text = "found an AUROC of 0.000 on 40 labelled parity images, expected more than 0.5."
    card = model_card(replace(manifest, warnings=(text, "Second.")))
    assert f"**Warning of the export:** {text}\n\n**Warning of the export:** Second.\n" in card.split("\n## ")[0]
    assert "Warning of the export" not in model_card(manifest)
