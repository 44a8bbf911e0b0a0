"""The section on the leak sets the claim beside both fits, figure by figure, and says how it was made."""

import re

from edge_runtime.bundle.manifest import Figure
from training.experiments.leak import AS_PUBLISHED, BY_GROUP, LeakRow, LeakTable
from training.reporting.leak_page import leak_section

LEAK = LeakTable(
    recipe="idc-patch",
    claims=(Figure("recall", 0.902), Figure("accuracy", 0.889)),
    copies="8 files of each picture: turned by every multiple of 90°, and mirrored",
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


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)] for row in rows]


def test_claim_and_both_splits_stand_side_by_side_figure_by_figure() -> None:
    _, _, table, *_ = leak_section(LEAK, "patients")
    assert cells(table) == [
        ["figure", "published claim", f"same network, {AS_PUBLISHED}", f"same network, {BY_GROUP}"],
        ["recall", "0.902", "–", "0.600 [0.500, 0.700]"],
        ["accuracy", "0.889", "0.880 [0.850, 0.910]", "0.710 [0.620, 0.790]"],
        ["auroc", "–", "0.950 [0.930, 0.970]", "–"],
    ]


def test_the_dealing_is_counted_under_the_name_of_what_is_kept_together() -> None:
    dealt = cells(leak_section(LEAK, "sources")[3])
    assert dealt[0] == ["split", "files fitted on", "files tested", "sources on both sides", "epochs"]
    assert [row[1:] for row in dealt[1:]] == [["900", "300", "55", "7"], ["905", "295", "0", "9"]]


def test_it_says_the_command_the_copies_the_departure_and_the_versions_escaped() -> None:
    html = "\n".join(leak_section(LEAK, "patients"))
    assert "<pre>python -m training leak idc-patch --data DIR --out DIR</pre>" in html
    assert "8 files of each picture" in html and "keras 3.15.1, numpy 2.4.6" in html
    assert "The original &lt;drops&gt; normals." in html


def test_without_a_table_there_is_no_section() -> None:
    assert leak_section(None, "patients") == []
