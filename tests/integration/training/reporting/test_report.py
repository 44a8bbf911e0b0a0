"""The report is one valid HTML file without script or network; it holds every table and escapes every name."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.manifest import Evaluation, Figure, TrainingRecord
from tests.integration.training.reporting.pages import RECORD
from tests.page_text import page_text
from training.data.tensors import Tensors
from training.evaluation.case_report import CaseReport
from training.experiments.leak import LeakTable
from training.metrics import evaluation
from training.metrics.classwise import ClassOutcomes, evaluate_classes
from training.metrics.evaluation import GAIN, evaluate_scores
from training.recipes.idc_patch import SPEC
from training.reporting.rendering import CaptionedImage
from training.reporting.report import Page, report_html, write_report

VOID = {"meta", "img", "br"}
PNG = cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes()
EVIL = '<script>alert("x")</script>&\'"'


class _Page(HTMLParser):
    """Collects what a page holds, and fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = self.tables.setdefault(str(dict(attrs)["aria-label"]), [])
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def page() -> Page:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "RESAMPLES", 40)
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 2, 200).astype(np.int64)
        groups = np.array([f"p{i}" for i in rng.integers(0, 12, 200)])
        logits = rng.normal(0, 2, (200, 2)) + 2 * np.eye(2)[labels]
        tensors = Tensors(np.zeros((200, 1, 1, 3), np.float32), labels, groups, np.zeros((200, 6)), (), ())
        network = evaluate_scores(logits, tensors, SPEC, "test")
        network = replace(network, figures=(*network.figures, Figure(GAIN, 0.01, -0.02, 0.04)))
        baseline = Evaluation("test", "baseline", 200, 12, 100, (Figure("accuracy", 0.7, 0.6, 0.8),), ((1, 2), (3, 4)))
        classes = evaluate_classes(ClassOutcomes.of(logits, labels, groups, SPEC))
    claims = (Figure("accuracy", 0.889), Figure("recall of malignant", 0.9), Figure("never measured", 0.5))
    record = replace(RECORD, claims=claims, caveat="The split was not by patient.", policy=TrainingRecord.policy)
    images = (CaptionedImage(PNG, "A black image."), CaptionedImage(PNG, "Another."))
    return Page(SPEC, record, (network, baseline), classes, "test", images, "python -m training report x")


def test_the_page_is_well_formed_and_needs_neither_script_nor_network(page: Page) -> None:
    text = report_html(page)
    parsed = _Page(text)
    tags = {tag for tag, _ in parsed.seen}
    assert text.startswith("<!DOCTYPE html>")
    assert not tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"https?://|@import|url\(", text)
    assert all(str(attrs["src"]).startswith("data:image/png;base64,") for tag, attrs in parsed.seen if tag == "img")
    assert {"html", "head", "title", "body", "h1"} <= tags


def test_every_table_is_there_with_its_rows(page: Page) -> None:
    tables = _Page(report_html(page)).tables
    assert {name: len(rows) - 1 for name, rows in tables.items()} == {
        "Groups and images": 3,
        "Published claim, and result on held-out patients": 3,
        "Each label against the rest": 2,
        "Negative against positive": 2,
        "Operating point and calibration": 2,
        "Measured, keras, test": 12,  # sensitivity and calibration error among them
        "Coverage of keras, test": 5,
        "Baseline: six colour numbers, test": 1,
    }
    assert all(len({len(row) for row in rows}) == 1 for rows in tables.values())


def test_the_claim_stands_beside_what_was_measured(page: Page) -> None:
    rows = _Page(report_html(page)).tables["Published claim, and result on held-out patients"]
    accuracy = page.evaluations[0].figure("accuracy")
    assert rows[1] == ["accuracy", "0.889", f"{accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]"]
    assert rows[2][:2] == ["recall of malignant", "0.900"] and rows[2][2].startswith("0.")
    assert rows[3] == ["never measured", "0.500", "–"]


def test_class_tables_hold_figures_with_intervals_and_support(page: Page) -> None:
    head, *rows = _Page(report_html(page)).tables["Each label against the rest"]
    assert head == ["class", "accuracy", "precision", "recall", "f1", "support"]
    assert [row[0] for row in rows] == ["benign", "malignant"]
    assert all(re.fullmatch(r"0\.\d{3} \[0\.\d{3}, [01]\.\d{3}\]", cell) for row in rows for cell in row[1:-1])
    assert sum(int(row[-1]) for row in rows) == 200


def test_it_says_what_it_is_not_and_what_is_unproven(page: Page) -> None:
    text = page_text(report_html(page))
    assert "Not a medical device; not for diagnosis. Research use only" in text
    assert "no proof that it learned more than colour" in text
    assert "The split was not by patient." in text
    assert "python -m training report x" in text
    assert SPEC.contract in text
    free = replace(page, training=replace(page.training, research_only=False))
    assert "Research use only" not in page_text(report_html(free))


def test_a_network_that_surely_beats_the_baseline_is_said_to(page: Page) -> None:
    network = page.evaluations[0]
    figures = (*network.figures[:-1], Figure(GAIN, 0.05, 0.01, 0.09))
    better = replace(page, evaluations=(replace(network, figures=figures),))
    assert "The network beats a logistic regression" in page_text(report_html(better))


def test_names_captions_and_commands_are_escaped(page: Page) -> None:
    spec = replace(SPEC, summary=EVIL, labels=(EVIL, "malignant"))
    first = replace(page.classes.labels[0], label=EVIL)
    record = replace(page.training, dataset=EVIL, citation=EVIL, caveat=EVIL, claims=(Figure(EVIL, 0.5),))
    evil = replace(
        page,
        spec=spec,
        training=record,
        classes=replace(page.classes, labels=(first, page.classes.labels[1])),
        images=(CaptionedImage(PNG, EVIL),),
        command=EVIL,
    )
    parsed = _Page(report_html(evil))
    assert "script" not in {tag for tag, _ in parsed.seen}
    assert parsed.text.count(EVIL) >= 7
    assert [attrs["alt"] for tag, attrs in parsed.seen if tag == "img"] == [EVIL]


def test_images_are_inside_and_whole(page: Page) -> None:
    images = [attrs for tag, attrs in _Page(report_html(page)).seen if tag == "img"]
    assert [image["alt"] for image in images] == ["A black image.", "Another."]
    assert base64.b64decode(str(images[0]["src"]).split(",")[1]) == PNG
    with pytest.raises(ValueError, match="expected the bytes of a PNG"):
        CaptionedImage(b"GIF89a", "no")


def test_without_images_and_claims_the_page_still_stands(page: Page) -> None:
    bare = replace(page, images=(), training=replace(page.training, claims=()))
    parsed = _Page(report_html(bare))
    assert "None published." in parsed.text and "Images," not in parsed.text


def test_the_head_states_the_temperature_and_how_thresholds_were_chosen(page: Page) -> None:
    text = page_text(report_html(page))
    assert "Temperature 1: logits are not scaled." in text
    assert f"How these thresholds were chosen: {page.training.policy}." in text
    fitted = replace(
        page,
        spec=replace(SPEC, policy=replace(SPEC.policy, temperature=1.37)),
        training=replace(page.training, policy="On validation patients; sensitivity .95."),
    )
    text = page_text(report_html(fitted))
    assert "Temperature 1.37: logits are divided by it before scores are computed." in text
    assert "How these thresholds were chosen: On validation patients; sensitivity .95.\n" in text


def test_a_measured_leak_and_patients_have_their_sections_and_others_have_none(page: Page) -> None:
    titles = ("Effect of the data leak", "Decisions on patients from their patches")
    assert not any(title in report_html(page) for title in titles)
    leak = LeakTable("idc-patch", (Figure("accuracy", 0.889),), "files", (), "", "python -m training leak x", {})
    cases = CaseReport(None, "No rule: too few.")
    full = _Page(report_html(replace(page, leak=leak, cases=cases)))
    assert all(title in full.text for title in titles)
    assert "No rule: too few." in full.text and "python -m training leak x" in full.text
    assert full.tables["Effect of the data leak"][1] == ["accuracy", "0.889"]


def test_the_file_is_written_whole_over_an_older_one(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    write_report(path, page)
    assert path.read_text(encoding="utf-8") == report_html(page)
    assert list(tmp_path.iterdir()) == [path]
