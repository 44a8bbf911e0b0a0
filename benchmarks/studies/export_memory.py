"""Peak memory of an export for calibration folders of several sizes: it must not depend on the size.

    python -m benchmarks export-memory [--count 64 --count 2000] [--side 128]

draws images of noise, exports a small network with random weights, and prints a table for docs/how-to/keras-model.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import cv2
import numpy as np

SPEC = {
    "name": "memory",
    "version": "1.0.0",
    "summary": "noise",
    "labels": ["a", "b"],
    "positive": ["b"],
    "head": "softmax",
    "policy": {"cutoff": 0.5, "confidence_floor": 0.0},
    "tolerance": {"int8_score_mean": 1.0, "int8_flips_per_1000": 1000},
}


def network(side: int, path: Path) -> None:
    """Save a network with BatchNorm after ReLU, so that all stages run."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    inputs = keras.Input((side, side, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, activation="relu")(inputs))
    x = layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, activation="relu")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, activation="relu")(x))
    keras.Model(inputs, layers.Dense(2, activation="softmax")(x)).save(path)


def measure(folder: Path, count: int) -> dict[str, int]:
    """Export once in this process; return the peaks in bytes, of the command and of its largest job."""
    from export.converters.isolation import peak_bytes, usages
    from export.pipeline import export_source
    from export.source.source import from_model

    images = folder / f"images-{count}"
    images.mkdir()
    noise = np.random.default_rng(count)
    for i in range(count):
        cv2.imwrite(str(images / f"{i:05}.png"), noise.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with usages() as used:
        source = from_model(folder / "model.keras", folder / "spec.json", None, None)
        export_source(source, images, folder / f"bundle-{count}")
    largest = max(used, key=lambda usage: usage.peak_bytes)
    return {
        "count": count,
        "images": min(u.images for u in used if u.job.endswith("write_calibrated")),
        "own": peak_bytes(),
        "job": largest.peak_bytes,
    }


@click.command()
@click.option("--count", "counts", type=click.IntRange(1), multiple=True, default=(64, 512, 2000), show_default=True)
@click.option("--side", type=click.IntRange(16), default=128, show_default=True, help="Side of the input in pixels.")
@click.option("--only", type=click.Path(path_type=Path), hidden=True)
def export_memory(counts: tuple[int, ...], side: int, only: Path | None) -> None:
    """Print the peak memory of an export, by number of calibration images, as a Markdown table."""
    if only is not None:
        print(json.dumps(measure(only, counts[0])))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        resize = {"kind": "resize", "width_px": side, "height_px": side, "interpolation": "linear", "result": "float32"}
        steps = [{"kind": "colour", "order": "rgb"}, resize, {"kind": "scale", "divisor": 127.5, "offset": -1}]
        (folder / "spec.json").write_text(json.dumps({**SPEC, "steps": steps}), encoding="utf-8")
        network(side, folder / "model.keras")
        print("| images in the folder | used | the command | its largest job |\n|---|---|---|---|")
        for count in counts:  # each in a process of its own, whose peak is its own
            command = [sys.executable, "-m", "benchmarks", "export-memory", "--only", name, "--count", str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            print(f"| {count} | {row['images']} | {row['own'] >> 20} MiB | {row['job'] >> 20} MiB |", flush=True)
