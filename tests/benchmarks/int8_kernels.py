"""What int8 ONNX files cost and decide on this processor, beside float32, in one run.

    python tests/benchmarks/int8_kernels.py [--images DIR] [--models NAME ...] [--rounds 15]

Four ways to answer with onnxruntime: the float32 file; the int8 file as this package opens it
(``session.x64quantprecision=1``); the same file with onnxruntime's own settings; and the same file with weights of
seven bits, made here by halving every int8 weight and doubling its scale, as ``reduce_range`` would. Processor time is
the median over rounds in which the ways take turns on one drawn image. With ``--images`` the decisions on the images
in DIR are compared with float32's, before and after the guard band. Needs the extra ``dev``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from edge_runtime.bundle.bundle import find, shipped
from edge_runtime.bundle.manifest import Format, Manifest, Precision
from edge_runtime.decision.rule import decisions, margins
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.backends.onnxruntime import silence
from edge_runtime.platform.processor import saturates_int8
from edge_runtime.preprocessing.preprocessor import preprocess

CALLS = 20
"""Runs of one way in its turn, so that a turn is long beside the clock's grain."""


@dataclass(frozen=True)
class Way:
    """One way to answer: its name, and the opened session."""

    name: str
    session: onnxruntime.InferenceSession

    def logits(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits, float32 1×outputs, of a tensor 1×H×W×C."""
        found: npt.NDArray[np.float32] = self.session.run(None, {self.session.get_inputs()[0].name: tensor})[0]
        return found


def opened(model: bytes, precise: bool) -> onnxruntime.InferenceSession:
    """Open as the package does, with or without kernels that do not saturate."""
    silence()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1" if precise else "0")
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=["WeightBiasQuantization"]
    )


def of_seven_bits(model: bytes) -> bytes:
    """Return the file with int8 weights in -64..63 and their scales doubled; int32 biases follow their scales."""
    graph = onnx.load_from_string(model)
    values = {each.name: each for each in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in values:
            continue
        levels, scale = (numpy_helper.to_array(values[name]) for name in node.input[:2])
        if levels.dtype not in (np.int8, np.int32):
            continue
        for place, array in enumerate((np.rint(levels / 2).astype(levels.dtype), np.asarray(scale * 2, np.float32))):
            name = f"{node.name or node.output[0]}_seven_{place}"  # its own: a scale may serve several tensors
            graph.graph.initializer.append(numpy_helper.from_array(array, name))
            node.input[place] = name
    written: bytes = graph.SerializeToString()
    return written


def ways(name: str) -> tuple[Manifest, list[Way]]:
    """Return a bundle's manifest and its four ways."""
    bundle = find(name)
    files: dict[Precision, bytes] = {}
    for precision in (Precision.FLOAT32, Precision.INT8):
        entry = bundle.model(Format.ONNX, precision)
        if entry is None:
            raise SystemExit(f"{bundle.where}: holds no {precision.value} ONNX file.")
        files[precision] = bundle.content(entry)
    int8 = files[Precision.INT8]
    return bundle.manifest, [
        Way("float32", opened(files[Precision.FLOAT32], True)),
        Way("int8, as this package opens it", opened(int8, True)),
        Way("int8, onnxruntime's own settings", opened(int8, False)),
        Way("int8, weights of seven bits", opened(of_seven_bits(int8), False)),
    ]


def timed(found: list[Way], tensor: npt.NDArray[np.float32], rounds: int) -> list[float]:
    """Return the median processor time of each way, seconds a call."""
    taken: list[list[float]] = [[] for _ in found]
    for _ in range(rounds):
        for way, times in zip(found, taken, strict=True):
            start = time.process_time()
            for _ in range(CALLS):
                way.logits(tensor)
            times.append((time.process_time() - start) / CALLS)
    return [statistics.median(times) for times in taken]


def tensors(folder: Path, manifest: Manifest) -> npt.NDArray[np.float32]:
    """Return the images in and below ``folder`` that are no masks, prepared, float32 N×H×W×C."""
    found = []
    for path in sorted(folder.rglob("*.png")):
        pixels: Any = None if "_mask" in path.name or "_tumor" in path.name else cv2.imread(str(path))
        if pixels is not None:
            found.append(preprocess(DecodedImage(path.name, pixels, ColourOrder.BGR), manifest.spec.steps))
    return np.stack(found)


def flips(found: list[Way], manifest: Manifest, data: npt.NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Return for each way how many decisions differ from float32's, how many after the guard band, mean |Δ logit|."""
    answers = [np.concatenate([way.logits(tensor[np.newaxis]) for tensor in data]) for way in found]
    exact = decisions(answers[0], manifest.spec)
    rows = []
    for logits in answers:
        other = np.array([a is not b for a, b in zip(decisions(logits, manifest.spec), exact, strict=True)])
        beyond = other & (margins(logits, manifest.spec) > manifest.guard_band)
        rows.append((int(other.sum()), int(beyond.sum()), float(np.abs(logits - answers[0]).mean())))
    return rows


def main() -> None:
    """Print one table a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--models", nargs="+", default=shipped())
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    print("processor without VNNI" if saturates_int8() else "processor whose int8 products do not saturate")
    for name in chosen.models:
        manifest, found = ways(name)
        (width, height), channels = manifest.spec.size_px, manifest.spec.channels
        drawn = np.random.default_rng(0).uniform(0, 1, (1, height, width, channels)).astype(np.float32)
        taken = timed(found, drawn, chosen.rounds)
        data = None if chosen.images is None else tensors(chosen.images, manifest)
        counted = [] if data is None else flips(found, manifest, data)
        print(f"\n{name}" + ("" if data is None else f", {len(data)} images"))
        for number, way in enumerate(found):
            line = f"{way.name:34} {taken[number] / taken[0]:5.2f} x float32"
            if counted:
                line += "   {} decisions differ, {} beyond the guard band, mean |d logit| {:.4f}".format(
                    *counted[number]
                )
            print(line)


if __name__ == "__main__":
    main()
