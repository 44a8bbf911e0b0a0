"""The report's section on patients: the rule, its figures, and pictures of patients."""

from __future__ import annotations

from collections.abc import Iterable

from training.evaluation.case_report import CaseReport, rule_text
from training.reporting.markup import Picture, heading, paragraph, picture, table

TITLE = "Patients from patches"


def case_section(cases: CaseReport | None, pictures: Iterable[Picture], part: str, side: str) -> list[str]:
    """Return the section as pieces of HTML; nothing where neither rule nor picture speaks of patients.

    Args:
        side: what the positive labels are called.
    """
    shown = [picture(found) for found in pictures]
    if cases is None and not shown:
        return []
    return [heading(f"{TITLE}, {part} patients"), *_figures(cases, side), *shown]


def _figures(cases: CaseReport | None, side: str) -> list[str]:
    if cases is None or cases.evaluation is None:
        return [] if cases is None else [paragraph(cases.basis)]
    found = cases.evaluation
    return [
        paragraph(f"The rule: {rule_text(found.rule, side)}. {cases.basis}"),
        paragraph(
            f"{found.patients} patients, {found.positives} of them positive: a patient is positive in truth when any "
            "of the patches at hand is. A patient of whom too few patches are answered is referred, and is neither "
            "found nor cleared. Shares carry exact 95 % intervals (Clopper and Pearson 1934); auroc, the area under "
            "the curve of the count, one by bootstrap over patients."
        ),
        table(TITLE, ("figure", "value"), [(figure.name, figure) for figure in found.figures]),
    ]
