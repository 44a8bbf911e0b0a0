"""Convert Keras to TFLite: float32, float16, and int8 (calibrate once, then quantise once per scheme)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.converters.moments import attach_to_tflite
from export.converters.tflite_file import join_ranges, order_outputs, subtract_from_last_bias, tidy
from export.quantisation.schemes import FloatLayerNames, Quantisation
from export.source.keras_model import load_to_logits
from export.source.stored_tensors import StoredTensors


def write_float32(model_path: str, out: str, moments: bool = False) -> None:
    """Convert without quantisation; the outputs keep the order of the Keras model.

    Args:
        model_path: the Keras network; a .tflite file is copied, and its tensors get names of their own.
        out: the file to write.
        moments: the last output is a feature map; replace it by its moments (:mod:`export.converters.moments`).
    """
    if Path(model_path).suffix == ".tflite":
        shutil.copyfile(model_path, out)
    else:
        Path(out).write_bytes(_converter(model_path).convert())
        order_outputs(Path(out))
    _finish(Path(out), moments)


def _finish(path: Path, moments: bool) -> None:
    tidy(path)
    if moments:
        attach_to_tflite(path)


def write_float16(model_path: str, out: str, moments: bool = False) -> None:
    """Convert with float16 weights, which the interpreter converts to float32 when it opens the file.

    Args:
        model_path, out, moments: as in :func:`write_float32`.
    """
    import tensorflow as tf

    converter = _converter(model_path)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    Path(out).write_bytes(converter.convert())
    if moments:
        order_outputs(Path(out))
    _finish(Path(out), moments)


def write_calibrated(model_path: str, tensors_path: str, out: str, moments: bool = False) -> None:
    """Write a float32 file with the range of each activation, measured on saved tensors (float32 N×H×W×C).

    Args:
        model_path: the Keras network, or a .tflite file.
        tensors_path: the saved tensors.
        out: the file to write.
        moments: the network's last output is a feature map, which stays an output here.
    """
    if Path(model_path).suffix == ".tflite":
        _calibrate(model_path, tensors_path, out)
        return
    converter = _representing(model_path, tensors_path)
    converter._experimental_calibrate_only = True  # as TensorFlow's QuantizationDebugger does
    Path(out).write_bytes(converter.convert())
    if moments:
        order_outputs(Path(out))
    join_ranges(Path(out), Path(out))


def _calibrate(file_path: str, tensors_path: str, out: str) -> None:
    """Calibrate a float32 .tflite file with the calibrator that TensorFlow's converter uses."""
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    named, tensors = Path(out).with_suffix(".named"), np.load(tensors_path)
    write_float32(file_path, str(named))
    calibrator = Calibrator(named.read_bytes())
    Path(out).write_bytes(calibrator.calibrate(lambda: ([tensor[np.newaxis]] for tensor in tensors)))
    join_ranges(Path(out), Path(out))


def write_quantised(
    calibrated_path: str, error_path: str, layers_path: str, how: Quantisation, out: str, moments: bool = False
) -> None:
    """Quantise a calibrated file.

    Args:
        calibrated_path: file of :func:`write_calibrated`, or a copy with percentiles as ranges.
        error_path: mean error of the logits, float32, for ``how.bias_corrected``.
        layers_path: the layers that may stay float32, for schemes that keep some.
        how: the scheme.
        out: the file to write.
        moments: the last output is a feature map; replace it by its moments.
    """
    source = Path(calibrated_path)
    if how.bias_corrected:
        corrected = Path(out).with_suffix(".corrected")
        subtract_from_last_bias(source, np.load(error_path), corrected)
        source = corrected
    kept = FloatLayerNames.read(Path(layers_path)).kept(how) if how.keeps_layers else None
    Path(out).write_bytes(quantise(source, kept=kept, takes_float=how.float_first > 0, gives_float=how.float_last))
    _finish(Path(out), moments)
    if how.bias_corrected:
        source.unlink()


def quantise(
    source: Path,
    *,
    kept: list[str] | None = None,
    takes_float: bool = False,
    gives_float: bool = False,
    verify: bool = False,
) -> bytes:
    """Quantise a calibrated file; return the content of the int8 file.

    Args:
        kept: names of layers that stay float32.
        takes_float, gives_float: whether the input and the logits are float32 instead of int8.
        verify: add, for each int8 layer, its float32 version and an operator NumericVerify that subtracts them.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    quantised: bytes = mlir_quantize(
        source.read_bytes(),
        # fully: the output of a layer kept in float32 is rounded to int8 too
        fully_quantize=not (verify or takes_float or gives_float),
        input_data_type=tf.float32 if takes_float else tf.int8,
        output_data_type=tf.float32 if gives_float else tf.int8,
        enable_numeric_verify=verify,
        denylisted_nodes=kept,
    )
    return quantised


def _representing(model_path: str, tensors_path: str) -> Any:
    import tensorflow as tf

    tensors = StoredTensors(tensors_path)

    def representative() -> Iterator[list[Any]]:
        for tensor in tensors:
            yield [tensor[np.newaxis]]

    converter = _converter(model_path)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    return converter


def _converter(model_path: str) -> Any:
    return converter_of(load_to_logits(model_path))


def converter_of(model: Any) -> Any:
    """Return TensorFlow's converter for a Keras model of any number of inputs, for a batch of one."""
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_keras_model(_for_one_image(model))


def _for_one_image(model: Any) -> Any:
    """Return ``model`` for a batch of one, as it runs on a device.

    With an open batch size the file computes shapes at run time, and no Dense on a map, Flatten or channel shuffle is
    simplified. That concerns 13 of system 3's 21 operators and 96 of ShuffleNet's 241.
    """
    import keras

    names = ["image", *(f"image_{i}" for i in range(1, len(model.inputs)))]
    images = [
        keras.Input(batch_shape=(1, *taken.shape[1:]), name=name, dtype=taken.dtype)
        for taken, name in zip(model.inputs, names, strict=True)
    ]
    given = images[0] if len(images) == 1 else images
    return keras.Model(given, model(given))
