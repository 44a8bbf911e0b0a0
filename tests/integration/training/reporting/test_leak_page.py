"""The section on the leak sets the claim beside both fits, figure by figure, and says how it was made."""

from dataclasses import replace

from edge_runtime.bundle.manifest import Figure
from tests.integration.training.reporting.pages import full_page
from tests.page_text import page_text
from training.experiments.leak import AS_PUBLISHED, BY_GROUP, LeakRow, LeakTable
from training.reporting.report import report_html

LEAK = LeakTable(
    recipe="idc-patch",
    claims=(Figure("recall", 0.902), Figure("accuracy", 0.889)),
    copies="8 files of each image: turned by every multiple of 90°, and mirrored",
    rows=(
        LeakRow(
            AS_PUBLISHED, 900, 300, 55, 7, (Figure("accuracy", 0.88, 0.85, 0.91), Figure("auroc", 0.95, 0.93, 0.97))
        ),
        LeakRow(BY_GROUP, 905, 295, 0, 9, (Figure("accuracy", 0.71, 0.62, 0.79), Figure("recall", 0.6, 0.5, 0.7))),
    ),
    note="The original <drops> normals.",
    command="python -m training leak idc-patch --data DIR --out DIR",
    versions={"keras": "3.15.1", "numpy": "2.4.6"},
)


def section(grouped_by: str) -> str:
    page = replace(full_page(), leak=LEAK, grouped_by=grouped_by)
    return page_text(report_html(page)).split("h2: Effect of the data leak\n")[1].split("h2: ")[0]


def test_claim_and_both_splits_stand_side_by_side_figure_by_figure() -> None:
    assert (
        f"tr: figure | published claim | same network, {AS_PUBLISHED} | same network, {BY_GROUP}\n"
        "tr: recall | 0.902 | – | 0.600 [0.500, 0.700]\n"
        "tr: accuracy | 0.889 | 0.880 [0.850, 0.910] | 0.710 [0.620, 0.790]\n"
        "tr: auroc | – | 0.950 [0.930, 0.970] | –\n"
    ) in section("patients")


def test_the_dealing_is_counted_under_the_name_of_what_is_kept_together() -> None:
    assert (
        "tr: split | files fitted on | files tested | sources on both sides | epochs\n"
        f"tr: {AS_PUBLISHED} | 900 | 300 | 55 | 7\n"
        f"tr: {BY_GROUP} | 905 | 295 | 0 | 9\n"
    ) in section("sources")


def test_it_says_the_command_the_copies_the_departure_and_the_versions() -> None:
    said = section("patients")
    assert "pre: python -m training leak idc-patch --data DIR --out DIR\n" in said
    assert "8 files of each image" in said and "Fitted with keras 3.15.1, numpy 2.4.6." in said
    assert "The original <drops> normals." in said


def test_without_a_table_there_is_no_section() -> None:
    assert "Effect of the data leak" not in report_html(replace(full_page(), leak=None))
