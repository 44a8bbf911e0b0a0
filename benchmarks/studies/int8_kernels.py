"""What int8 ONNX files cost and decide on this processor, beside float32, in one run.

    python -m benchmarks int8-kernels [--images MODEL=FOLDER …] [--rounds 15]

Four ways to answer with onnxruntime: the float32 file; the int8 file with kernels that do not saturate
(``session.x64quantprecision=1``), as this package opens it without VNNI; the same file with onnxruntime's own settings;
and the same file with weights of seven bits, made here by halving every int8 weight and doubling its scale, as
``reduce_range`` would. With ``--images`` the decisions on all images in FOLDER are compared with float32's, before and
after the guard band.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from benchmarks import networks, report
from benchmarks.cases.measuring import measured
from benchmarks.cli.options import load_networks, on_cores, run_options, settings_of
from benchmarks.contestant import Worker
from benchmarks.networks import Network
from benchmarks.peers.onnxruntime_kernels import CALLS, opened
from benchmarks.settings import Settings
from benchmarks.task import Task
from benchmarks.turns import Table
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format, Manifest, Precision
from edge_runtime.decision.rule import decisions, margins
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.platform.processor import saturates_int8
from edge_runtime.preprocessing.preprocessor import preprocess


@dataclass(frozen=True)
class Way:
    """One way to answer: its name, the file, and whether its kernels do not saturate."""

    name: str
    path: Path
    precise: bool


def ways(network: Network, scratch: Path) -> list[Way]:
    """Return the four ways of a network; float32 is the reference."""
    int8, seven = network.files[Format.ONNX, Precision.INT8], scratch / f"{network.name}.seven.onnx"
    seven.write_bytes(of_seven_bits(int8.read_bytes()))
    return [
        Way("float32", network.files[Format.ONNX, Precision.FLOAT32], True),
        Way("int8, kernels that do not saturate", int8, True),
        Way("int8, onnxruntime's own settings", int8, False),
        Way("int8, weights of seven bits", seven, False),
    ]


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


def timed(network: Network, found: list[Way], settings: Settings) -> Table:
    """Return the table of times; a row is :data:`CALLS` runs of the network."""
    with ExitStack() as stack:
        contestants = [
            Worker(
                way.name,
                Task(
                    *("benchmarks.peers.onnxruntime_kernels", network.name, str(way.path)),
                    kind="none",
                    options={"precise": str(int(way.precise))},
                ),
            )
            for way in found
        ]
        for each in contestants:
            stack.callback(each.close)
        return measured(f"{CALLS} runs of the network", network.name, contestants, (), settings)


def tensors(paths: list[str], manifest: Manifest) -> npt.NDArray[np.float32]:
    """Return images as the network's input, float32 N×H×W×C; a model of regions gets whole images."""
    found = [DecodedImage(path, cv2.imread(path), ColourOrder.BGR) for path in paths]  # type: ignore[arg-type]
    return np.stack([preprocess(image, manifest.spec.steps) for image in found])


def flips(found: list[Way], manifest: Manifest, data: npt.NDArray[np.float32]) -> list[str]:
    """Say for each way how many decisions differ from float32's, how many after the guard band, and mean |Δ logit|."""
    answers = []
    for way in found:
        session = opened(str(way.path), str(int(way.precise)))
        name = session.get_inputs()[0].name
        answers.append(np.concatenate([session.run(None, {name: tensor[np.newaxis]})[0] for tensor in data]))
    exact, said = decisions(answers[0], manifest.spec), []
    for way, logits in zip(found, answers, strict=True):
        other = np.array([a is not b for a, b in zip(decisions(logits, manifest.spec), exact, strict=True)])
        beyond = other & (margins(logits, manifest.spec) > manifest.guard_band)
        change = float(np.abs(logits - answers[0]).mean())
        said.append(
            f"- {way.name}: {other.sum()} of {len(data)} decisions differ, {beyond.sum()} beyond the guard band, "
            f"mean |Δ logit| {change:.4f}"
        )
    return said


@click.command()
@run_options
def int8_kernels(
    models: tuple[str, ...], folders: tuple[str, ...], rounds: int | None, cpu: tuple[int, ...], tiny: bool
) -> None:
    """Print one table for each model."""
    click.echo("processor without VNNI" if saturates_int8() else "processor whose int8 products do not saturate")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch, on_cores(cpu):
        settings = settings_of(Path(scratch), folders, rounds, tiny)
        for network in load_networks(models, settings):
            found = ways(network, settings.scratch)
            click.echo(f"\n{report.markdown([timed(network, found, settings)], [])}")
            folder = settings.folders.get(network.name)
            if folder is not None:
                manifest = find(network.name).manifest
                click.echo("\n".join(flips(found, manifest, tensors(networks.image_files(folder), manifest))))
