"""Calibration images: whole, unaltered, enough, in a pinned order, through the spec's own steps; or an error."""

import csv
import hashlib
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.images.reader import read
from edge_runtime.preprocessing.preprocessor import preprocess
from export.errors import CalibrationError
from export.source import calibration_images, encoded_images
from export.source.calibration_images import FEWEST, images_in, left_out_of, load_calibration, preprocess_all
from export.source.encoded_images import EncodedImage
from training.recipes.phantom_patch import SPEC

Folders = tuple[Path, Path, list[str]]


def _png(seed: int, width: int = 50, height: int = 50) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def listed(tmp_path: Path) -> Folders:
    """A list of forty images in an order that is not the alphabet's, the data set it names, and the names."""
    data, folder = tmp_path / "data", tmp_path / "calibration"
    names = [f"{10 + i * 7 % 40}/0/{i}.png" for i in range(40)]
    folder.mkdir()
    rows = []
    for i, name in enumerate(names):
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(i))
        rows.append((name, hashlib.sha256(path.read_bytes()).hexdigest()))
    _write_list(folder, rows)
    return folder, data, names


def _write_list(folder: Path, rows: list[tuple[str, str]]) -> None:
    with (folder / "samples.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("name", "sha256"), *rows])


def _folder(tmp_path: Path, count: int) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(count):
        (folder / f"{(i * 7) % count:03}.png").write_bytes(_png(i))
    return folder


def _prepared(path: Path) -> np.ndarray:
    return preprocess(read(path, min_side_px=SPEC.min_side_px), SPEC.steps)


def test_listed_images_come_in_the_lists_order_through_the_specs_steps(listed: Folders) -> None:
    folder, data, names = listed
    found = load_calibration(folder, data, SPEC)
    assert found.tensors.dtype == np.float32
    np.testing.assert_array_equal(found.tensors, np.stack([_prepared(data / name) for name in names]))
    assert found.source == "40 of calibration/samples.csv"


def test_the_data_may_also_be_the_folder_that_holds_the_published_one(listed: Folders) -> None:
    folder, data, _ = listed
    inner, outer = load_calibration(folder, data, SPEC), load_calibration(folder, data.parent, SPEC)
    np.testing.assert_array_equal(inner.tensors, outer.tensors)


def test_images_in_a_folder_come_in_order_of_their_paths(tmp_path: Path) -> None:
    folder = _folder(tmp_path, FEWEST)
    (folder / "README.md").write_text("where these come from")
    (folder / "a folder.png").mkdir()
    found = load_calibration(folder, None, SPEC)
    oracle = [_prepared(folder / f"{i:03}.png") for i in range(FEWEST)]
    np.testing.assert_array_equal(found.tensors, np.stack(oracle))
    assert found.source == f"{FEWEST} of images in images"


def test_what_computers_put_beside_images_changes_no_tensor_and_is_told(tmp_path: Path) -> None:
    """Copies of a notebook, thumbnails and AppleDouble files stopped an export, or were calibrated on."""
    folder = _folder(tmp_path, FEWEST)
    clean = load_calibration(folder, None, SPEC)
    beside = {
        ".ipynb_checkpoints/000-checkpoint.png": _png(99),
        "@eaDir/000.png/SYNOFILE_THUMB_M.png": _png(98),
        "._000.png": b"\0\5\x16\7\0\2\0\0",
        "IM000001": b"\0" * 128 + b"DICM",
        "README": b"where these come from",
    }
    for name, data in beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    found = load_calibration(folder, None, SPEC)
    np.testing.assert_array_equal(found.tensors, clean.tensors)
    assert found.source == clean.source
    assert {Path(item.path).name: item.reason.value for item in left_out_of(folder)} == {
        **{".ipynb_checkpoints": "hidden", "@eaDir": "thumbnail_folder", "._000.png": "apple_double"},
        **{"IM000001": "dicom", "README": "unknown_kind"},
    }


def test_an_image_without_an_ending_is_calibrated_on(tmp_path: Path) -> None:
    folder = _folder(tmp_path, FEWEST)
    (folder / "000.png").rename(folder / "000")
    assert len(load_calibration(folder, None, SPEC).tensors) == FEWEST


def test_a_link_to_nothing_and_a_pipe_are_refused_by_name(tmp_path: Path) -> None:
    folder = _folder(tmp_path, FEWEST)
    (folder / "gone.png").symlink_to("nowhere")
    with pytest.raises(CalibrationError, match=r"calibration image refused: .*gone\.png: found a link to nothing"):
        load_calibration(folder, None, SPEC)
    (folder / "gone.png").unlink()
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(CalibrationError, match=r"parity image refused: .*pipe\.png"):
        images_in(folder, "parity")


def test_an_altered_image_is_refused_and_named(listed: Folders) -> None:
    folder, data, names = listed
    (data / names[17]).write_bytes(_png(999))
    with pytest.raises(CalibrationError) as caught:
        load_calibration(folder, data, SPEC)
    for part in (str(data / names[17]), "SHA-256 differs", "samples.csv", "Unpack it again"):
        assert part in str(caught.value)


def test_a_missing_image_is_refused_and_named(listed: Folders) -> None:
    folder, data, names = listed
    (data / names[17]).unlink()
    with pytest.raises(CalibrationError, match=rf"found no {names[17]}, .* Is this the right data set\?"):
        load_calibration(folder, data, SPEC)


def test_a_list_without_the_data_set_asks_for_it(listed: Folders) -> None:
    with pytest.raises(CalibrationError, match=r"names files of a published data set; give its folder with --data DIR"):
        load_calibration(listed[0], None, SPEC)


@pytest.mark.parametrize("text", ["name\n10/0/0.png\n", "file,hash\n10/0/0.png,00\n", "name,sha256\n,\n"])
def test_a_list_with_other_columns_is_refused(listed: Folders, text: str) -> None:
    folder, data, _ = listed
    (folder / "samples.csv").write_text(text)
    with pytest.raises(CalibrationError):
        load_calibration(folder, data, SPEC)


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_too_few_images_are_refused_with_how_many_are_needed(tmp_path: Path, count: int) -> None:
    message = rf"found {count} images, expected {FEWEST} or more\. Add images .* from training patients alone"
    with pytest.raises(CalibrationError, match=message):
        load_calibration(_folder(tmp_path, count), None, SPEC)


def test_too_short_a_list_is_refused_too(listed: Folders) -> None:
    folder, data, names = listed
    _write_list(folder, [(n, hashlib.sha256((data / n).read_bytes()).hexdigest()) for n in names[:5]])
    with pytest.raises(CalibrationError, match="found 5 images, expected 32 or more"):
        load_calibration(folder, data, SPEC)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"found no folder, expected images or samples\.csv"):
        load_calibration(tmp_path / "nowhere", None, SPEC)


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"no image at all", "bad.png"), (_png(0)[:200], "bad.png"), (_png(0, width=3), "bad.png: found")],
    ids=["no image", "truncated", "strip of 3 px"],
)
def test_a_image_that_the_device_would_refuse_is_named_and_not_skipped(tmp_path: Path, data: bytes, says: str) -> None:
    folder = _folder(tmp_path, FEWEST)
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(CalibrationError, match=rf"calibration image refused: .*{says}.* Remove or replace it\."):
        load_calibration(folder, None, SPEC)


def test_a_refused_image_is_named_by_what_it_is_for(tmp_path: Path) -> None:
    for name, data in (("good.png", _png(0)), ("bad.png", b"no image at all")):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CalibrationError, match=r"^parity image refused: .*bad\.png.* Remove or replace it\."):
        preprocess_all([EncodedImage(name, tmp_path / name) for name in ("good.png", "bad.png")], SPEC, role="parity")


def _rewrite(folder: Path, text: str) -> None:
    (folder / "samples.csv").write_text(text, encoding="utf-8", newline="")


def test_a_list_written_on_windows_gives_the_same_images(listed: Folders) -> None:
    folder, data, _ = listed
    plain = load_calibration(folder, data, SPEC)
    rows = (folder / "samples.csv").read_text().splitlines()[1:]
    windows = ["Name;SHA256", *(f"{n.replace('/', chr(92))};{s.upper()}" for n, s in (r.split(",") for r in rows))]
    _rewrite(folder, "\ufeff" + "\r\n".join(windows))
    np.testing.assert_array_equal(load_calibration(folder, data, SPEC).tensors, plain.tensors)
    np.testing.assert_array_equal(load_calibration(folder / "samples.csv", data, SPEC).tensors, plain.tensors)


def test_accents_may_be_composed_or_not(listed: Folders) -> None:
    folder, data, names = listed
    (data / names[0]).rename(data / names[0].replace("/0/0", "/0/o\u0308"))
    _rewrite(folder, (folder / "samples.csv").read_text().replace("/0/0.png", "/0/\u00f6.png"))
    assert len(load_calibration(folder, data, SPEC).tensors) == 40


@pytest.mark.parametrize("spelling", [str, lambda name: name.replace("/", "\\"), lambda name: "./" + name])
def test_a_image_named_twice_is_refused_with_both_lines(listed: Folders, spelling) -> None:  # type: ignore[no-untyped-def]
    folder, data, names = listed
    sha256 = hashlib.sha256((data / names[3]).read_bytes()).hexdigest()
    with (folder / "samples.csv").open("a") as lines:
        lines.write(f"{spelling(names[3])},{sha256}\n")
    with pytest.raises(CalibrationError, match=r"samples\.csv, line 42: found .* again, which line 5 names"):
        load_calibration(folder, data, SPEC)


def test_an_image_under_two_names_is_refused(listed: Folders) -> None:
    """Equal SHA-256; another region of the same file is another image."""
    folder, data, names = listed
    (data / "copy.png").write_bytes((data / names[3]).read_bytes())
    sha256 = hashlib.sha256((data / names[3]).read_bytes()).hexdigest()
    text = (folder / "samples.csv").read_text()
    _rewrite(folder, text + f"copy.png,{sha256.upper()}\n")
    with pytest.raises(CalibrationError, match=r"line 42: found copy\.png with the SHA-256 of the image, which line 5"):
        load_calibration(folder, data, SPEC)
    rows = text.splitlines()
    labelled = [rows[0] + ",label", *(f"{row},benign" for row in rows[1:]), f"copy.png,{sha256},malignant", ""]
    _rewrite(folder, "\n".join(labelled))
    with pytest.raises(CalibrationError, match="with the labels benign and malignant, expected each once"):
        load_calibration(folder, data, SPEC)
    _rewrite(folder, text + f'"{names[3]}@1,2,3",{sha256}\n"{names[3]}@1,2,4",{sha256}\n')
    assert len(encoded_images.listed(folder / "samples.csv", data)) == 42


@pytest.mark.parametrize(("name", "says"), [("Samples.CSV", ""), ("samples.csv.txt", "Rename it to samples.csv")])
def test_a_list_under_another_spelling_is_found_or_named(listed: Folders, name: str, says: str) -> None:
    folder, data, _ = listed
    (folder / "samples.csv").rename(folder / name)
    if says:
        with pytest.raises(CalibrationError, match=says):
            load_calibration(folder, data, SPEC)
    else:
        assert len(load_calibration(folder, data, SPEC).tensors) == 40


def test_a_pointer_in_place_of_an_image_is_called_that(listed: Folders) -> None:
    folder, data, names = listed
    (data / names[7]).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(CalibrationError, match=r"found a git-lfs pointer in place of the file, .*git lfs pull"):
        load_calibration(folder, data, SPEC)


@pytest.mark.parametrize(
    ("line", "says"),
    [(",aa", "found no name"), ("x.png,d41d8cd98f00b204e9800998ecf8427e", "expected a SHA-256 of 64 hexadecimal")],
)
def test_a_line_without_a_name_or_a_hash_is_refused_by_its_number(listed: Folders, line: str, says: str) -> None:
    folder, data, _ = listed
    _rewrite(folder, f"name,sha256\n{line}\n")
    with pytest.raises(CalibrationError, match=rf"line 2: .*{says}"):
        load_calibration(folder, data, SPEC)


def test_a_large_folder_gives_a_stated_sample_that_fits_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One MiB holds 34 tensors of 50×50×3 float32; the oracle counts and reads by itself."""
    monkeypatch.setattr(calibration_images, "CALIBRATION_MIB", 1)
    most = (1 << 20) // (50 * 50 * 3 * 4)
    folder = _folder(tmp_path, 100)
    found = load_calibration(folder, None, SPEC)
    assert len(found.tensors) == most
    prepared = [_prepared(folder / f"{i:03}.png").tobytes() for i in range(100)]
    places = [prepared.index(tensor.tobytes()) for tensor in found.tensors]
    assert places == sorted(set(places)), "in the order of their names, none twice"
    steps = np.diff([-1, *places, 100])
    assert steps.max() <= 2 * -(-100 // most), f"spread over the folder, steps of {sorted(set(steps.tolist()))}"
    assert len(set(steps.tolist())) > 1, "no fixed step, which would meet the same view of every patient"
    assert found.source == f"{most} of 100 images in images (spread evenly over their names; 1 MiB of tensors)"
    assert f"{most} of 100 images are used" in caplog.text
    np.testing.assert_array_equal(load_calibration(folder, None, SPEC).tensors, found.tensors)


def test_preparing_holds_few_tensors_in_memory(tmp_path: Path) -> None:
    folder = _folder(tmp_path, 40)
    wide = replace(SPEC, steps=(SPEC.steps[0], replace(SPEC.steps[1], width_px=256, height_px=256), *SPEC.steps[2:]))
    tracemalloc.start()
    tensors = load_calibration(folder, None, wide).tensors
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * tensors.nbytes, f"{peak / tensors.nbytes:.2f} × the tensors"
