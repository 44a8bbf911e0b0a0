"""Load Keras models: .keras, .h5 (also of Keras 2), and SavedModel folders."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.source.file_kind import check_kind
from export.source.keras2 import translated
from export.source.precision import check_saved_model, in_float32

ENDPOINT = "serving_default"
"""The signature to call. ``model.export()``, and ``model.save()`` of Keras 2, write it."""

_REMEDY = (
    "Load it with the Keras that saved it, then save it as .h5, or call model.export('FOLDER') and export "
    "that SavedModel."
)


def load(path: Path) -> Any:
    """Return the Keras model at ``path`` in float32, whichever type it was fitted in.

    Raises:
        ExportError: as :func:`load_as_saved`.
    """
    return in_float32(load_as_saved(path))


def load_as_saved(path: Path) -> Any:
    """Return the Keras model at ``path``, each layer in its own precision; a SavedModel becomes a model of one layer.

    Code in the file is not run: Lambda layers are rejected.

    Raises:
        ExportError: there is no model, Keras cannot read it, or it is not a graph of layers.
    """
    check_kind(path)
    if path.is_dir():
        return _saved_model(path)
    model = _load_file(path)
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ExportError(
            f"{path}: found a model whose layers are connected by code only, expected keras.Sequential with an Input, "
            "or keras.Model(inputs, outputs). Call model.export('FOLDER') and export that SavedModel."
        )
    return model


def _load_file(path: Path) -> Any:
    import keras

    _let_shear_read_what_it_wrote()
    try:
        if path.suffix.lower() == ".keras":
            return keras.models.load_model(path, compile=False)
        with tempfile.TemporaryDirectory() as folder:
            return keras.models.load_model(_translated(path, Path(folder)), compile=False)
    except (ValueError, TypeError, OSError, KeyError, AttributeError, ImportError) as error:
        raise ExportError(
            f"{path}: Keras {keras.__version__} cannot load it: found {_cause(path, error)}. {_REMEDY}"
        ) from error


def _let_shear_read_what_it_wrote() -> None:
    """Remove the check of ``RandomShear`` factors: Keras 3.15 saves a factor f as (-f, f), and refuses it when loading.

    The layer does nothing outside of fitting.
    """
    from keras.layers import RandomShear

    RandomShear._check_factor_range = lambda self, factor: None


def _cause(path: Path, error: Exception) -> str:
    """Return in a few words why Keras failed; its own messages contain whole configurations."""
    text, saved_by = str(error), _keras_of(path)
    if "Lambda" in text and "safe_mode" in text:
        return "a Lambda layer, and code in a file is not run"
    if saved_by.startswith(("1.", "2.")):
        return f"a .keras file of Keras {saved_by}"
    if named := re.search(r"(?:Unknown layer: |Could not locate class )'?(\w+)", text):
        return f"an unknown layer, {named.group(1)}"
    return f"{type(error).__name__}: {text.strip().splitlines()[-1][:160].rstrip('.')}" if text else repr(error)


def _keras_of(path: Path) -> str:
    """Return the Keras version in the metadata of a .keras file; empty if there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        return ""


def _translated(path: Path, folder: Path) -> Path:
    """Copy an .h5 file into ``folder`` with its configuration translated to Keras 3."""
    import h5py  # type: ignore[import-untyped]  # it comes with Keras, without types

    copy = Path(shutil.copyfile(path, folder / "model.h5"))
    with h5py.File(copy, "r+") as file:
        if not str(file.attrs.get("keras_version", "")).startswith("3"):
            file.attrs["model_config"] = json.dumps(translated(json.loads(file.attrs["model_config"])))
    return copy


def _saved_model(folder: Path) -> Any:
    """Return a Keras model around a SavedModel's signature :data:`ENDPOINT`."""
    import keras
    import tensorflow as tf

    try:
        signatures = tf.saved_model.load(str(folder)).signatures
    except (OSError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
        raise ExportError(
            f"{folder}: TensorFlow {tf.__version__} cannot load it: found {type(error).__name__}, expected a whole "
            "SavedModel. Copy the folder again, or write it again with model.export('FOLDER')."
        ) from error
    if ENDPOINT in signatures:
        check_saved_model(str(folder), signatures[ENDPOINT].graph)
    else:
        raise ExportError(
            f"{folder}: found signatures {', '.join(signatures) or 'none'}, expected {ENDPOINT}. "
            "Write it with model.export('FOLDER')."
        )
    taken = list(signatures[ENDPOINT].structured_input_signature[1].values())
    inputs = [keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name, name=spec.name) for spec in taken]
    if len(inputs) != 1:
        raise ExportError(f"{folder}: found {len(inputs)} inputs, expected one, the image. Export it with one input.")
    given = keras.layers.TFSMLayer(str(folder), call_endpoint=ENDPOINT)(inputs[0])
    several = isinstance(given, dict) and len(given) > 1
    return keras.Model(
        inputs[0], given if several else next(iter(given.values())) if isinstance(given, dict) else given
    )
