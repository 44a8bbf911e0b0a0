"""Names of files as the commands show them: one image is one row, and no byte reaches a terminal as a command."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = "edge_runtime.cli.predict"
NAMES = [
    *("a\nREFER     0.5000  benign       ABOVE_CUTOFF     b.png", "c\r\nd.png", "e\x1b[31mf.png", "g\x9b31mh.png"),
    *("i\u202egnp.j.png", "k\u2066l\u2069.png", "m\u2028n\u2029.png", "o\x7f\x00p.png".replace("\x00", "\x01")),
    *(
        "=1+1.png",
        "+q.png",
        "-r.png",
        "@s.png",
        "\tt.png",
        "\ru.png",
        "v;=w.png",
        'x"y,z.png',
        os.fsdecode(b"\xff.png"),
    ),
]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse some of these names")


@pytest.fixture
def folder(phantom_patches: list[Path], tmp_path: Path) -> Path:
    """Each name with an image, and once more with none."""
    root = tmp_path / "in"
    for part in ("good", "bad"):
        (root / part).mkdir(parents=True)
        for name in NAMES:
            shutil.copy(phantom_patches[0], root / part / name) if part == "good" else (root / part / name).touch()
    return root


def printed(process: Any, *arguments: object, status: int = 1) -> tuple[str, str]:
    done = process(MODULE, *arguments)
    assert done.returncode == status, done.stderr
    out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    assert not CONTROL.search(out.replace("\r\n", "\n") if "--csv" in arguments else out)
    assert not CONTROL.search(err)
    return out, err


def test_a_table_has_one_row_an_image(process: Any, phantom_bundle: Path, folder: Path) -> None:
    (folder / "bad" / "x.dcm\x1b[2J\n").touch()
    (folder / "bad" / ".y\x1b[2J\n").touch()
    out, err = printed(process, "--model", phantom_bundle, folder)
    rows = [line for line in out.splitlines()[3:-1] if not line.startswith("   ")]
    failed = [line for line in rows if line.startswith("FAILED")]
    assert (len(rows) - len(failed), len(failed)) == (len(NAMES), len(NAMES))
    assert len(err.splitlines()) == 2


def test_csv_has_one_record_an_image_and_no_formula(process: Any, phantom_bundle: Path, folder: Path) -> None:
    out, _ = printed(process, "--model", phantom_bundle, "--csv", "--", *(folder / "good").iterdir(), *NAMES, status=1)
    assert out.count("\n") == out.count("\r\n") == 1 + 2 * len(NAMES), "RFC 4180: CRLF ends records"
    rows = list(csv.DictReader(io.StringIO(out, newline=""), strict=True))
    assert sum(bool(row["decision"]) for row in rows) == len(NAMES)
    assert {row["error_code"] for row in rows} == {"", "image_not_found"}
    for row in rows:
        for cell in (row["image"], row["error_message"]):
            assert cell[:1] not in tuple("=+-@\t\r"), cell
    scores = [float(row["score"]) for row in rows if row["decision"]]
    assert len(scores) == len(NAMES)


def test_json_keeps_every_name(process: Any, phantom_bundle: Path, folder: Path) -> None:
    out, _ = printed(process, "--model", phantom_bundle, "--json", folder)
    assert out.isascii()
    images = [json.loads(line)["image"] for line in out.splitlines()]
    assert sorted(images) == sorted(str(folder / part / name) for part in ("good", "bad") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_cards_and_errors_that_stop_a_command_are_escaped_too(
    name: str, edge_predict: Any, edge_bundle: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    image = shutil.copy(phantom_patches[0], tmp_path / name)
    for result in (
        edge_predict("--model", phantom_bundle, image),
        edge_predict("--model", phantom_bundle, image, "--heatmap", tmp_path / f"{name}.map"),
        edge_predict("--model", phantom_bundle, "--tiles", tmp_path / f"none{name}"),
        edge_predict("--model", phantom_bundle, "--tiles", tmp_path / f"none{name}", "--json"),
        edge_predict("--model", phantom_bundle, image, "--output", tmp_path / "no" / name),
        edge_predict("--model", phantom_bundle, image, "--output", tmp_path / f"{name}.jsonl"),
        edge_predict("--model", tmp_path / f"none{name}", image),
        edge_predict("--model", image, image),
        edge_predict(f"--{name}"),
        edge_bundle("info", tmp_path / f"none{name}"),
        edge_bundle("verify", image),
        edge_bundle(f"--{name}"),
    ):
        assert not CONTROL.search(result.output), result.output
        assert not [line for line in result.output.splitlines() if line.startswith("REFER   ")]
