"""Rows of the coverage table: which errors are sentences, and how the page shows each outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from export.converters.failure_text import first_line, operator_in
from export.coverage.page import page
from export.coverage.row import Cell, Outcome, Row, refusal

SENTENCE = "error: m.keras: found layer erf (Erfinv), which cannot be converted to ONNX, expected others. Replace it."
MLIR = (
    'ConverterError: <unknown>:0: error: loc(callsite(fused["Erfinv:", "m/erf/Erfinv@__inference"] at fused)): '
    "'tf.Erfinv' op is neither a custom op nor a flex op\n<unknown>:0: note: loc(fused[])"
)


@pytest.mark.parametrize(
    ("stderr", "found"),
    [
        (SENTENCE, SENTENCE.removeprefix("error: ")),
        (
            f"model.int8.tflite: over the tolerance; trying the next scheme\n{SENTENCE}\n",
            SENTENCE.removeprefix("error: "),
        ),
        (f"Traceback (most recent call last):\n{SENTENCE}", None),
        (f"error: {MLIR}", None),
        ("error: a.keras failed\nmore of it", None),
        ("Killed", None),
        ("", None),
        ("error: " + "long " * 200, None),
    ],
)
def test_only_one_plain_line_at_the_end_is_a_refusal(stderr: str, found: str | None) -> None:
    assert refusal(stderr) == found


@pytest.mark.parametrize(
    ("text", "operator", "line"),
    [
        (MLIR, "Erfinv", "ConverterError (operator Erfinv)"),
        ("ValidationError: No Op registered for Erfc with domain_version of 17\n\n==> Context: Bad node spec", "Erfc",
         "ValidationError: No Op registered for Erfc with domain_version of 17"),
        ("ERROR: Tensorflow op [m/l/Bucketize: Bucketize] is not supported", "Bucketize",
         "ERROR: Tensorflow op [m/l/Bucketize: Bucketize] is not supported"),
        ("ValueError: no kernel", "", "ValueError: no kernel"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_of_a_converters_text_one_line_and_the_operator_are_kept(text: str, operator: str, line: str) -> None:
    assert (operator_in(text), first_line(text)) == (operator, line)


def _row(name: str, outcome: Outcome, text: str = "", cells: tuple[Cell, ...] = ()) -> Row:
    return Row(name, "activations", outcome, text, cells, 12.3, 8.7, 900, "keras 3")


def test_the_page_has_every_network_once_with_its_outcome() -> None:
    cells = (
        Cell("model.float32.tflite", "litert", 1.5e-6),
        Cell("model.float16.tflite", "tflite", None, "as exported"),
        Cell("model.int8.tflite", "tflite", None, "does not run: no kernel"),
        Cell("model.int8.onnx", "", None, "model.int8.onnx is left out: no gain"),
    )
    rows = [
        _row("relu", Outcome.EXPORTED, cells=cells),
        _row("odd", Outcome.REFUSED, "found layer a|b, expected c."),
        _row("big", Outcome.NOT_MEASURED, "more than 6 GiB of memory"),
    ]
    text = page(rows)
    assert "3 networks: 1 exported, 1 refused, 0 fault, 1 not measured." in text
    assert "| relu | 1.5e-06 | – | – | – | same | does not run | – | left out | 12 | 9 | 900 | 1 |" in text
    assert r"found layer a\|b, expected c." in text
    assert "| big | activations | more than 6 GiB of memory |" in text
    assert "## Faults" not in text


def test_rows_of_two_machines_name_theirs() -> None:
    rows = [
        _row("relu", Outcome.EXPORTED),
        replace(_row("elu", Outcome.EXPORTED), machine="k2", processor_seconds=None),
    ]
    text = page(rows)
    assert "| 12 | 9 | 900 | 1 |" in text and "| 12 | – | 900 | 2 |" in text
    assert "| 1 | 1 | activations 1 | keras 3 |\n| 2 | 1 | activations 1 | k2 |\n" in text
