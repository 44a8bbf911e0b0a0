"""Check by content that a path contains a Keras model; otherwise identify the content and give a remedy."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from export.errors import ExportError
from export.source.file_signatures import AGAIN, HEAD_BYTES, SOURCE, NotAModel, fault_of, is_stand_in

_ZIP, _HDF5 = b"PK\3\4", b"\x89HDF\r\n\x1a\n"
_WEIGHTS = {"model.weights.h5", "model.weights.npz"}
_MODELS = (".keras", ".h5", ".hdf5", ".onnx", ".tflite")
_SAVE = "Save the model again: model.save('x.keras')."
_BUILD = "Build the network in Python, call model.load_weights, then model.save('x.keras'), and export that file."
_CHECKPOINT = re.compile(r"checkpoint|.*\.(index|data-\d+-of-\d+)")
_LAYERS = {"layer_names", "layers", "_layer_checkpoint_dependencies", "vars", "keras_version"}
"""An HDF5 file of weights, from Keras 2 or 3, contains one of these names."""


def check_kind(path: Path) -> None:
    """Check by content that a path contains a complete Keras model in a format that can be loaded.

    Raises:
        ExportError: the path is missing, incomplete or has other content; the message states it and the remedy.
    """
    if path.is_dir():
        _check_folder(path)
    elif path.is_file():
        fault = _fault_of_file(path)
        if fault is not None:
            raise _error(path, fault)
    else:
        raise _missing(path)


def _error(path: Path, fault: NotAModel) -> ExportError:
    return ExportError(f"{path}: found {fault.found}, expected a model, .keras, .h5, .onnx or .tflite. {fault.remedy}")


def _fault_of_file(path: Path) -> NotAModel | None:
    head = _head(path)
    if head.startswith(_ZIP):
        fault, kind, fits, better = _fault_of_zip(path), "a Keras zip archive", path.suffix == ".keras", ".keras"
    elif head.startswith(_HDF5):
        fault, kind = _fault_of_hdf5(path), "an HDF5 file"
        fits, better = path.suffix.lower() in (".h5", ".hdf5"), ".h5"
    elif _CHECKPOINT.fullmatch(path.name):
        return NotAModel("a part of a SavedModel or of a checkpoint", f"Give the folder of the SavedModel. {_BUILD}")
    else:
        return fault_of(head)
    if fits or (fault is not None and fault.remedy != AGAIN):
        return fault
    name, ending = path.with_suffix(better).name, path.suffix or "(none)"
    if fault is None:
        return NotAModel(f"{kind} ({better}) with the suffix {ending}", f"Rename it to {name}.")
    return NotAModel(
        f"{kind} ({better}) with the suffix {ending}, which is truncated or damaged", f"{AGAIN} Name it {name}."
    )


def _fault_of_zip(path: Path) -> NotAModel | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names, damaged = archive.namelist(), archive.testzip()
    except (RuntimeError, NotImplementedError):
        return NotAModel("a zip archive with a password or an unknown method", _SAVE)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError):
        return NotAModel("a zip archive that is truncated", AGAIN)
    if damaged is not None:
        return NotAModel(f"a zip archive whose part {damaged} is damaged", AGAIN)
    if "config.json" in names and _WEIGHTS & set(names):
        return None
    return _fault_of_contents(names)


def _fault_of_contents(names: list[str]) -> NotAModel:
    """Return the kind of a complete zip archive that is not a .keras file."""
    if any(name.endswith("saved_model.pb") for name in names):
        return NotAModel("a zipped SavedModel", "Unpack it and give the folder that holds saved_model.pb.")
    if any(name.endswith("data.pkl") for name in names):
        return NotAModel("a PyTorch file", "Give a Keras model, or an ONNX file that torch.onnx.export wrote.")
    own = [name for name in sorted(names) if not name.startswith("__MACOSX/") and not Path(name).name.startswith("._")]
    if any(name.endswith("/config.json") for name in own) and any(Path(name).name in _WEIGHTS for name in own):
        return NotAModel("the contents of a .keras file in a folder", "Zip config.json and the files beside it alone.")
    inside = [name for name in own if name.endswith(_MODELS) and Path(name).name not in _WEIGHTS]
    if inside:
        return NotAModel(f"a zip archive that holds {inside[0]}", "Unpack it and give that file.")
    lacking = "config.json" if "config.json" not in names else "model.weights.h5"
    return NotAModel(f"a zip archive without {lacking}", _SAVE)


def _fault_of_hdf5(path: Path) -> NotAModel | None:
    import h5py  # type: ignore[import-untyped]  # it comes with Keras, without types

    try:
        with h5py.File(path, "r") as file:
            if "model_config" in file.attrs:
                return None
            names = set(file) | set(file.attrs)
    except (OSError, RuntimeError, KeyError):
        return NotAModel("an HDF5 file that is truncated or damaged", AGAIN)
    if names & _LAYERS:
        return NotAModel("weights without a network", _BUILD)
    held = ", ".join(sorted(map(str, names))[:3]) or "nothing"
    return NotAModel(f"an HDF5 file without a network, which holds {held}", SOURCE)


def _check_folder(path: Path) -> None:
    if not (path / "saved_model.pb").is_file():
        raise ExportError(
            f"{path}: found no saved_model.pb, expected a SavedModel or a training artifact. {_remedy_for_folder(path)}"
        )
    variables = sorted((path / "variables").glob("variables.*"))
    for part in (path / "saved_model.pb", *variables):
        head = _head(part)
        if is_stand_in(head, raw=part.name.startswith("variables.data")):
            fault = fault_of(head)
            raise ExportError(f"{part}: found {fault.found}, expected a part of a SavedModel. {fault.remedy}")
    names = [part.name for part in variables]
    if names and (len(names) == 1 or "variables.index" not in names):
        raise ExportError(
            f"{path / 'variables'}: found {', '.join(names)} alone, expected variables.index and variables.data-…. "
            "Copy the whole SavedModel folder again."
        )


def _remedy_for_folder(path: Path) -> str:
    """Return the remedy for a folder without ``saved_model.pb``."""
    names = {child.name for child in path.iterdir()}
    inner = sorted(child for child in path.iterdir() if (child / "saved_model.pb").is_file())
    models = sorted(name for name in names if name.endswith(_MODELS) and name not in _WEIGHTS)
    checkpoint = "checkpoint" in names or any(name.endswith(".index") for name in names)
    remedies = (
        (not names, f"The folder is empty. {AGAIN}"),
        ("config.json" in names and names & _WEIGHTS, "It is an unpacked .keras file: give the .keras file itself."),
        (inner, f"Give {inner[0] if inner else ''}, which is one."),
        (models, f"It holds {', '.join(models[:3])}: give such a file."),
        (checkpoint, f"It is a checkpoint, weights without a network. {_BUILD}"),
        ("model.json" in names, f"It is a TensorFlow.js model. {SOURCE}"),
    )
    return next(
        (remedy for applies, remedy in remedies if applies),
        "Give the folder that model.export wrote, or a .keras file.",
    )


def _missing(path: Path) -> ExportError:
    if path.is_symlink():
        fault = NotAModel(f"a link to {path.readlink()}, which does not exist", "Correct the link, or fetch the file.")
        return _error(path, fault)
    near = sorted(child.name for child in path.parent.glob("*") if child.stem == path.stem)
    beside = f" The same folder contains {near[0]}." if near else ""
    expected = "expected a file .keras, .h5, .onnx or .tflite, or a SavedModel folder"
    return ExportError(f"{path}: found none, {expected}. Correct the path.{beside}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
