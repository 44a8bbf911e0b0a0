"""A spec with padding, cropping and bicubic steps goes the whole way: JSON, export, golden vectors, device, heatmap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import edge_runtime.cli.bundle
import export.cli
from edge_runtime import Predictor
from edge_runtime.bundle.manifest import Precision
from edge_runtime.errors import UsageError

SIDE = 12
MEAN = (103.939, 116.779, 123.68)
STEPS = [
    {"kind": "colour", "order": "bgr"},
    {"kind": "pad", "width_px": 4, "height_px": 3, "to": "aspect_ratio", "value": 114},
    {"kind": "resize_shorter", "shorter_px": 16, "interpolation": "bicubic_antialias", "result": "uint8"},
    {"kind": "centre_crop", "width_px": SIDE, "height_px": SIDE, "to": "pixels"},
    {"kind": "normalize", "mean": list(MEAN), "std": [1, 1, 1]},
]


def network() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 64)(inputs)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def by_hand(path: Path) -> np.ndarray:
    """Prepare an image with Pillow and NumPy alone, as someone might have who fitted the network."""
    image = Image.open(path)
    width, height = image.size
    across, down = (max(height * 4 // 3 - width, 0) // 2, max(width * 3 // 4 - height, 0) // 2)
    wide = np.pad(np.asarray(image), ((down, down), (across, across), (0, 0)), constant_values=114)
    height, width = wide.shape[:2]
    scaled = (16 * width // height, 16) if height <= width else (16, 16 * height // width)
    once = Image.fromarray(wide).resize((scaled[0], height), Image.Resampling.BICUBIC)
    small = np.asarray(once.resize(scaled, Image.Resampling.BICUBIC))
    left, top = (scaled[0] - SIDE) // 2, (scaled[1] - SIDE) // 2
    crop = small[top : top + SIDE, left : left + SIDE, ::-1].astype(np.float32)
    return np.asarray(crop - np.array(MEAN, np.float32))


def images(folder: Path, seed: int, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:03}.png" for number in range(count)]
    rng = np.random.default_rng(seed)
    for path in paths:
        small = rng.integers(0, 256, (*rng.integers(3, 9, 2), 3), dtype=np.uint8)
        Image.fromarray(small).resize(tuple(int(side) for side in rng.integers(20, 70, 2))).save(path)
    return paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The bundle, and images that it has not seen."""
    folder = tmp_path_factory.mktemp("chain")
    network().save(folder / "model.keras")
    printed = CliRunner().invoke(export.cli.main, ["spec", "--like", "resnet50", "--size", str(SIDE)])
    spec = json.loads(printed.stdout) | {"steps": STEPS}
    spec["tolerance"] = {"int8_score_mean": 0.1, "int8_flips_per_1000": 200}  # it is not fitted to anything
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    images(folder / "cal", 1, 32)
    unseen = images(folder / "par", 2, 34)
    options = {"spec": "spec.json", "calibration": "cal", "parity": "par", "out": "bundle"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(folder / value))]
    done = CliRunner().invoke(export.cli.main, [str(folder / "model.keras"), *arguments])
    assert done.exit_code == 0, done.output
    return folder / "bundle", unseen


def test_the_device_answers_as_keras_does_on_images_prepared_by_hand(made: tuple[Path, list[Path]]) -> None:
    bundle, paths = made
    tensors = np.stack([by_hand(path) for path in paths])
    with Predictor.load(bundle, precision=Precision.FLOAT32) as predictor:
        found = [list(predictor.predict(path).verdict.scores.values()) for path in paths]
    expected = np.asarray(network()(tensors))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.01


def test_the_self_test_replays_the_golden_tensors_bit_for_bit(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    told = CliRunner().invoke(
        edge_runtime.cli.bundle.main, ["selftest", str(made[0]), "--json", str(tmp_path / "certificate.json")]
    )
    assert told.exit_code == 0, told.output
    checks = json.loads((tmp_path / "certificate.json").read_text(encoding="utf-8"))["checks"]
    tensors = [check for check in checks if check["step"] == "tensor"]
    assert tensors
    assert all(check["values"] == 10 and check["differing"] == 0 for check in tensors)


def test_a_heatmap_covers_what_the_network_saw(made: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """A 40×90 image is padded to 120×90 and scaled to 21×16; of that, columns 4 to 16 and rows 2 to 14 are seen."""
    path = tmp_path / "tall.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 40, 3), dtype=np.uint8)).save(path)
    with Predictor.load(made[0]) as predictor:
        explained = predictor.explain(path)
        assert explained.box == (round(4 * 120 / 21) - 40, 11, round(16 * 120 / 21) - 40, 79)
        whole = explained.on_picture()
        seen = ~np.isnan(whole)
        assert seen[11:79].all()
        assert not seen[:11].any()
        assert not seen[79:].any()
        with pytest.raises(UsageError, match="centre_crop"):
            predictor.predict_tiles(path)
