"""What lies where a Keras model should: named for what it is, with a remedy that helps; and real models pass."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from export.errors import ExportError
from export.source.file_kind import check_kind
from export.source.file_signatures import is_stand_in
from export.source.saved_models import load

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
ROOT_OF_HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(500)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small network in every form that can be loaded, and its weights alone."""
    folder = tmp_path_factory.mktemp("models")
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    for name in ("whole.keras", "whole.h5"):
        model.save(folder / name)
    model.save_weights(folder / "alone.weights.h5")
    model.export(folder / "saved", verbose=False)
    return folder


def _refusal(path: Path) -> str:
    with pytest.raises(ExportError) as caught:
        load(path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith(str(path))
    assert "File not found" not in text
    return text


@pytest.mark.parametrize("name", ["whole.keras", "whole.h5", "saved"])
def test_a_model_passes(models: Path, name: str) -> None:
    check_kind(models / name)
    assert load(models / name).inputs


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize(
    ("data", "found", "remedy"),
    [
        (POINTER, "a git-lfs pointer", "git lfs pull"),
        (b"/annex/objects/MD5E-s1--0.h5\n", "a git-annex pointer", "git annex get"),
        (b"", "an empty file", "Download it again"),
        (bytes(4000), "a file of zeros", "Download it again"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page", "Download the file itself"),
        (b"\xef\xbb\xbf<html>404</html>", "a web page", "Download the file itself"),
        (b'{"message": "Not Found"}', "JSON", "Download it again"),
        (b'{"class_name": "Functional", "config": {}}', "description in JSON, without weights", "model_from_json"),
        (b"\x1c\0\0\0TFL3" + bytes(40), "a TFLite file", "that it was made from"),
        (b"\x08\x08\x12\x07pytorch", "an ONNX file", "that it was made from"),
        (b"\x80\x04\x95" + bytes(40), "a Python pickle", "model.save"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip file", "Unpack it"),
        ("version https://git-lfs.github.com".encode("utf-16"), "a git-lfs pointer", "git lfs pull"),
        (b"\xef\xbb\xbfversion https://git-lfs.github.com", "a git-lfs pointer", "git lfs pull"),
        (b"outs:\n- md5: 0\n", "a DVC pointer", "dvc pull"),
        (b"https://example.org/m.keras", "a link in place of the file", "Download the file"),
        (b"BZh9" + bytes(40), "a bzip2 file", "Unpack it"),
        (bytes(10) + b"m.keras" + bytes(240) + b"ustar" + bytes(40), "a tar archive", "Unpack it"),
        ((60).to_bytes(8, "little") + b'{"a":0}', "weights without a network (safetensors)", "Keras model"),
        (b"\x89HDF\n\x1a\n" + bytes(40), "an HDF5 file whose line ends were changed", "binary mode"),
        (b"\x08\x01\x12\x90\x01" + bytes(40), "the graph of a SavedModel", "Give the whole folder"),
        (b"L\0\0\0\x01\x14\x02\0" + bytes(40), "a Windows shortcut", "that it points to"),
        (b"no model" * 100, "a file of an unknown kind, which begins with b'no model'", "Download it again"),
        (b"PK\3\4" + bytes(500), "truncated", "Download it again"),
        (ROOT_OF_HDF5, "truncated or damaged", "Download it again"),
    ],
)
def test_another_file_is_called_what_it_is(tmp_path: Path, name: str, data: bytes, found: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(data)
    text = _refusal(tmp_path / name)
    assert found in text
    assert remedy in text


@pytest.mark.parametrize(("name", "share"), [("whole.keras", 0.5), ("whole.keras", 0.99), ("whole.h5", 0.5)])
def test_a_model_that_is_cut_is_called_that(models: Path, tmp_path: Path, name: str, share: float) -> None:
    data = (models / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    assert "truncated" in (text := _refusal(tmp_path / name))
    assert "Download it again" in text


def test_a_flipped_bit_in_the_weights_is_found(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    data = bytearray((models / "whole.keras").read_bytes())
    with zipfile.ZipFile(models / "whole.keras") as archive:
        weights = archive.read("model.weights.h5")
    kernel = np.asarray(load(models / "whole.keras").layers[-1].kernel).tobytes()
    place = data.index(weights) + weights.index(kernel[:64])
    data[place + 3] ^= 0x40
    path.write_bytes(data)
    assert "part model.weights.h5 is damaged" in _refusal(path)


@pytest.mark.parametrize(
    ("source", "name", "better"),
    [("whole.h5", "m.keras", "m.h5"), ("whole.keras", "m.h5", "m.keras"), ("whole.keras", "m.zip", "m.keras")],
)
def test_a_model_under_another_ending_is_to_be_renamed_and_then_loads(
    models: Path, tmp_path: Path, source: str, name: str, better: str
) -> None:
    path = Path(shutil.copy(models / source, tmp_path / name))
    assert f"Rename it to {better}." in _refusal(path)
    assert load(path.rename(tmp_path / better)).inputs


def test_what_is_renamed_and_cut_is_called_both(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(ROOT_OF_HDF5)
    text = _refusal(tmp_path / "m.keras")
    for part in (
        "HDF5 file (.h5) with the suffix .keras",
        "truncated or damaged",
        "Download it again",
        "Name it m.h5.",
    ):
        assert part in text


def test_weights_alone_need_the_network(models: Path, tmp_path: Path) -> None:
    assert "weights without a network" in (text := _refusal(models / "alone.weights.h5"))
    assert "model.load_weights" in text
    renamed = Path(shutil.copy(models / "alone.weights.h5", tmp_path / "m.keras"))
    assert "weights without a network" in _refusal(renamed)


def _zipped(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")

    return write


@pytest.mark.parametrize(
    ("write", "found", "remedy"),
    [
        (_zipped("m/saved_model.pb", "m/variables/variables.index"), "a zipped SavedModel", "Unpack it"),
        (_zipped("archive/data.pkl"), "a PyTorch file", "Give a Keras model"),
        (_zipped("inner/best.keras"), "holds inner/best.keras", "Unpack it and give that file"),
        (
            _zipped("m/config.json", "m/model.weights.h5"),
            "the contents of a .keras file in a folder",
            "Zip config.json",
        ),
        (_zipped("__MACOSX/._best.keras", "best.keras"), "holds best.keras", "Unpack it and give that file"),
        (_zipped("config.json", "metadata.json"), "without model.weights.h5", "model.save"),
        (_zipped("a.txt"), "without config.json", "model.save"),
    ],
)
def test_a_zip_archive_of_something_else(
    tmp_path: Path, write: Callable[[Path], None], found: str, remedy: str
) -> None:
    write(tmp_path / "m.keras")
    assert found in (text := _refusal(tmp_path / "m.keras"))
    assert remedy in text


def test_a_folder_that_is_no_saved_model(models: Path, tmp_path: Path) -> None:
    assert "The folder is empty" in _refusal(tmp_path)
    assert f"Give {models / 'saved'}, which is one" in _refusal(models)
    (tmp_path / "best.keras").touch()
    assert "It holds best.keras: give such a file" in _refusal(tmp_path)
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(models / "whole.keras", unpacked, "zip")
    assert "an unpacked .keras file" in _refusal(unpacked)


@pytest.mark.parametrize("part", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_a_saved_model_with_a_pointer_for_a_part(models: Path, tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(models / "saved", tmp_path / "saved"))
    (folder / part).write_bytes(POINTER)
    with pytest.raises(ExportError, match=rf"{part}: found a git-lfs pointer.* git lfs pull"):
        load(folder)


@pytest.mark.parametrize("value", [0.0, np.frombuffer(b"<a>0", "<f4")[0], np.frombuffer(b"\x80\x00<!", "<f4")[0]])
def test_weights_of_a_saved_model_may_begin_with_any_byte(tmp_path: Path, value: float) -> None:
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    numbers = np.random.default_rng(0).normal(size=(3072, 2)).astype(np.float32)
    numbers[: 600 if value == 0.0 else 1] = value
    model.set_weights([numbers, np.full(2, value, np.float32)])
    model.export(tmp_path / "saved", verbose=False)
    data = (tmp_path / "saved" / "variables" / "variables.data-00000-of-00001").read_bytes()
    assert np.float32(value).tobytes() * 2 in data
    check_kind(tmp_path / "saved")


def test_bytes_of_numbers_are_no_page() -> None:
    noise = np.random.default_rng(0).normal(size=(500, 64)).astype("<f4")
    assert not any(is_stand_in(b"<" + row.tobytes()[1:], raw=True) for row in noise)
    assert is_stand_in(b"  <html>Sign in</html>", raw=True)


@pytest.mark.parametrize(
    "part", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_a_part_of_a_saved_model_is_called_that(models: Path, part: str) -> None:
    assert "folder of the SavedModel" in _refusal(models / "saved" / part)


def test_a_saved_model_without_its_weights_or_cut_is_one_sentence(models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models / "saved", tmp_path / "saved"))
    (folder / "variables" / "variables.index").unlink()
    with pytest.raises(ExportError, match=r"found variables\.data.* alone, expected variables\.index"):
        load(folder)
    shutil.rmtree(folder / "variables")
    assert len(_refusal(folder).splitlines()) == 1
    (folder / "saved_model.pb").write_bytes((models / "saved" / "saved_model.pb").read_bytes()[:300])
    assert "Copy the folder again" in _refusal(folder)


def test_a_path_at_which_there_is_nothing(models: Path, tmp_path: Path) -> None:
    text = _refusal(models / "whole.hdf5")
    assert "found none, expected a file .keras, .h5, .onnx or .tflite, or a SavedModel folder" in text
    assert "The same folder contains whole.h5" in text
    (tmp_path / "m.keras").symlink_to("gone.keras")
    assert "a link to gone.keras, which does not exist" in _refusal(tmp_path / "m.keras")
