"""Whatever is wrong has a name: its own code for an image, its own exit status for a model, never a traceback."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests.places import ROOT

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
CODES = SCHEMA["$defs"]["failure"]["properties"]["error"]["properties"]["code"]["anyOf"][0]["enum"]
VALID = jsonschema.Draft202012Validator(SCHEMA)
PIXELS = np.random.default_rng(91).integers(0, 256, (50, 50, 3), dtype=np.uint8)


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = (50, 50), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).resize(size).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def declared(width: int, height: int) -> bytes:
    """A sound PNG head that declares so many pixels, and hardly any data."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def deep() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(buffer, "PNG")
    return buffer.getvalue()


def see_through() -> bytes:
    """One pixel is half transparent."""
    image = Image.fromarray(PIXELS).convert("RGBA")
    image.putpixel((7, 9), (1, 2, 3, 128))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encoded("JPEG", exif=exif)


PNG, JPEG = encoded("PNG"), encoded("JPEG")

# The file's name, the code it must be refused by, and what is in it (None: nothing is there).
BAD: dict[str, tuple[str, str, bytes | None]] = {
    "missing": ("missing.png", "image_not_found", None),
    "empty": ("empty.png", "image_empty", b""),
    "truncated PNG": ("half.png", "image_truncated", PNG[: len(PNG) // 2]),
    "truncated JPEG": ("half.jpg", "image_truncated", JPEG[: len(JPEG) // 2]),
    "altered PNG": ("altered.png", "image_damaged", PNG[:-40] + b"\0" + PNG[-39:]),
    "text renamed": ("letter.png", "image_format", b"Dear colleague,\n" * 40),
    "1x1": ("dot.png", "image_too_small", encoded("PNG", size=(1, 1))),
    "100,000x100,000": ("bomb.png", "image_too_large", declared(100_000, 100_000)),
    "16 bits": ("deep.png", "image_depth", deep()),
    "alpha": ("alpha.png", "image_alpha", see_through()),
    "palette": ("palette.png", "image_palette", encoded("PNG", "P")),
    "CMYK": ("inks.jpg", "image_cmyk", encoded("JPEG", "CMYK")),
    "rotated": ("turned.jpg", "image_orientation", turned()),
}


@pytest.fixture
def good(phantom_patches: list[Path]) -> Path:
    return phantom_patches[0]


def answers(result: Any) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for line in found:
        VALID.validate(line)
    return found


@pytest.mark.parametrize("case", BAD)
def test_a_bad_image_has_its_own_code_and_its_neighbours_are_answered(
    case: str, edge_predict: Any, phantom_bundle: Path, good: Path, tmp_path: Path
) -> None:
    name, code, data = BAD[case]
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    result = edge_predict("--model", phantom_bundle, "--json", good, path, good)
    first, failure, last = answers(result)
    assert (result.exit_code, result.stderr) == (1, "1 of 3 failed.\n")
    assert failure["error"]["code"] == code, failure["error"]["message"]
    assert failure["image"] == str(path)
    assert re.match(rf"{re.escape(str(path))}: found .*expected .*\.$", failure["error"]["message"])
    assert first["scores"] == last["scores"]


def test_a_folder_without_images_has_a_code(
    edge_predict: Any, phantom_bundle: Path, good: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("none here")
    result = edge_predict("--model", phantom_bundle, "--json", good, tmp_path, good)
    first, failure, last = answers(result)
    assert result.exit_code == 1
    assert (failure["image"], failure["error"]["code"]) == (str(tmp_path), "folder_without_images")
    assert first["scores"] == last["scores"]


@pytest.mark.parametrize("style", [(), ("--csv",), ("--json",)])
def test_all_of_them_at_once_fail_each_by_itself(
    style: tuple[str, ...], edge_predict: Any, phantom_bundle: Path, good: Path, tmp_path: Path
) -> None:
    for name, _, data in BAD.values():
        if data is not None:
            (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name, _, _ in BAD.values()]
    result = edge_predict("--model", phantom_bundle, *style, good, *paths, good)
    assert (result.exit_code, result.stderr) == (1, f"{len(BAD)} of {len(BAD) + 2} failed.\n")
    missing = [code for _, code, _ in BAD.values() if code not in result.stdout]
    assert not missing, f"{missing} not in:\n{result.stdout}"


def test_in_a_process_nothing_but_the_count_is_on_stderr(
    process: Any, phantom_bundle: Path, good: Path, tmp_path: Path
) -> None:
    """Decoders write their own complaints past Python; none may come through."""
    for name, _, data in BAD.values():
        if data is not None:
            (tmp_path / name).write_bytes(data)
    done = process("edge_runtime.cli.predict", "--model", phantom_bundle, "--json", tmp_path, good)
    assert done.returncode == 1
    assert done.stderr == f"{len(BAD) - 1} of {len(BAD)} failed.\n".encode()
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()][-1] == str(good)


def unknown_key(folder: Path) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"tiles": {}}))


def newer_schema(folder: Path) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"schema": 2, "tiles": {}}))


def altered_file(folder: Path) -> None:
    for path in folder.glob("model.*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def missing_file(folder: Path) -> None:
    for path in folder.glob("model.*"):
        path.unlink()


def no_manifest(folder: Path) -> None:
    (folder / "bundle.json").unlink()


def torn_manifest(folder: Path) -> None:
    path = folder / "bundle.json"
    path.write_bytes(path.read_bytes()[:100])


UNTRUSTED: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "unknown key": (unknown_key, "manifest", "unknown key 'tiles'"),
    "newer schema": (newer_schema, "manifest", "Update edge-predict: pip install --upgrade edge-predict"),
    "torn manifest": (torn_manifest, "manifest", "does not parse"),
    "altered file": (altered_file, "integrity", "The file was altered or damaged: install the bundle again."),
    "missing file": (missing_file, "integrity", "cannot be read"),
    "no manifest": (no_manifest, "bundle_not_found", "found no bundle.json"),
}


@pytest.mark.parametrize("case", UNTRUSTED)
def test_a_model_that_cannot_be_trusted_leaves_with_3_and_no_answer(
    case: str, edge_predict: Any, bundle_copy: Path, good: Path
) -> None:
    damage, code, words = UNTRUSTED[case]
    damage(bundle_copy)
    result = edge_predict("--model", bundle_copy, "--json", good)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"error [{code}]: {bundle_copy}")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_unknown_model_leaves_with_3(edge_predict: Any, good: Path) -> None:
    for name in ("no-such-model", "x" * 300):
        result = edge_predict("--model", name, good)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "error [bundle_not_found]: Found no model" in result.stderr


def test_an_untrusted_model_shows_no_traceback_in_a_process(process: Any, bundle_copy: Path, good: Path) -> None:
    altered_file(bundle_copy)
    done = process("edge_runtime.cli.predict", "--model", bundle_copy, good)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"error [integrity]: ")


@pytest.mark.parametrize("backend", ["auto", "litert", "tflite", "onnxruntime"])
def test_a_missing_interpreter_leaves_with_4_and_the_pip_command(
    backend: str, edge_predict: Any, phantom_bundle: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = edge_predict("--model", phantom_bundle, "--backend", backend, good)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("error [interpreter_missing]: ")
    assert "pip install " in result.stderr


def test_the_schema_lists_every_code_that_a_image_can_be_refused_by() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "edge_runtime").rglob("*.py"))
    codes = set(re.findall(r'"((?:image|folder|machine)_[a-z_]+)"', source))
    roots = {"image_unreadable", "image_unsupported", "image_size"}  # of classes; each use of one names its own
    assert sorted(codes - roots | {"region_missing"}) == CODES  # an image beside a DICOM study, without a circle
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
