"""``python -m export spec``: what it prints reads back, and what cannot be is one line with a way out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import (
    Colour,
    Interpolation,
    Normalize,
    PixelType,
    Resize,
)
from edge_runtime.serialisation.records import from_json
from export.cli import main
from export.source.keras_networks import NETWORKS
from export.source.spec_check import processor_dependent
from tests.places import ROOT


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["spec", *arguments])


def printed(*arguments: str) -> ModelSpec:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return from_json(ModelSpec, done.stdout, "stdout")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_a_spec_that_reads_back(name: str) -> None:
    found = printed("--like", name)
    assert found.size_px == (NETWORKS[name].side_px,) * 2
    assert found.channels == 3


def test_resnet50_is_bgr_less_three_means() -> None:
    found = printed("--like", "resnet50", "--size", "320x240", "--labels", "benign, malignant")
    assert found.steps == (
        Colour(ColourOrder.BGR),
        Resize(320, 240, Interpolation.LINEAR, PixelType.FLOAT32),
        Normalize((103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    )
    assert (found.labels, found.positive, found.head) == (("benign", "malignant"), ("malignant",), Head.SOFTMAX)


def test_every_choice_is_taken() -> None:
    found = printed(
        *("--like", "DenseNet121", "--size", "96", "--labels", "a,b,c", "--positive", "a,b"),
        *("--head", "independent_sigmoids", "--interpolation", "bicubic_antialias"),
    )
    assert (found.labels, found.positive, found.head) == (("a", "b", "c"), ("a", "b"), Head.INDEPENDENT_SIGMOIDS)
    assert found.steps[1] == Resize(96, 96, Interpolation.BICUBIC_ANTIALIAS, PixelType.UINT8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResNet50", "ResNet50"),
        ("resnet-50-v2", "ResNet50V2"),
        ("keras.applications.EfficientNetB3", "EfficientNetB3"),
        ("tf.keras.applications.resnet_v2.ResNet101V2", "ResNet101V2"),
        ("mobilenetv2_1.00_224", "MobileNetV2"),
        ("efficientnetv2-s", "EfficientNetV2S"),
        ("convnext_tiny", "ConvNeXtTiny"),
        ("nasnet_mobile", "NASNetMobile"),
        ("regnetx_002", "RegNetX002"),
    ],
)
def test_the_names_that_people_write_are_known(name: str, expected: str) -> None:
    assert printed("--like", name) == printed("--like", expected)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--like", "resnett50"), "found 'resnett50', expected one of VGG16, .*ResNetRS420. The nearest is ResNet50"),
        (("--like", "vit"), "found 'vit', expected one of VGG16"),
        (("--like", ""), "found '', expected one of VGG16"),
        (("--like", "vgg16", "--size", "big"), "--size: found 'big', expected WIDTHxHEIGHT or SIDE"),
        (("--like", "vgg16", "--size", "0"), "VGG16: resize: found 0x0 px, expected sides of 1..4096 px"),
        (("--like", "vgg16", "--labels", "a"), "labels: found .*, expected two or more different names"),
        (("--like", "vgg16", "--labels", "a,b", "--positive", "c"), "positive: found"),
        (("--like", "vgg16", "--labels", "a,b,c", "--head", "sigmoid"), "head sigmoid: expected two labels"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
    assert re.search(f"^error: .*{says}", refused.stderr), refused.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give either --like NETWORK or --from-recipe NAME"),
        (("--like", "vgg16", "--from-recipe", "idc-patch"), "Give either --like NETWORK or --from-recipe NAME"),
        (("--from-recipe", "idc-patch", "--size", "64"), "--size is for --like; a recipe has its own"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], says: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert says in refused.stderr


def test_a_spec_is_printed_without_tensorflow() -> None:
    program = (
        "import sys; from export.cli import main\n"
        "try: main(['spec', '--like', 'resnet50'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["name"] == "resnet50-classifier"
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("result", PixelType)
def test_steps_whose_bits_differ_by_processor_are_named(interpolation: Interpolation, result: PixelType) -> None:
    """The two that the device check knows to differ (tests/device/steps.py), and no other."""
    differing: Any = {("linear", "uint8"), ("area", "uint8"), ("area", "float32")}
    if result is PixelType.FLOAT32 and interpolation.value.endswith(("exact", "antialias")):
        return  # no such step
    told = processor_dependent((Resize(8, 8, interpolation, result),))
    assert bool(told) is ((interpolation.value, result.value) in differing)
    if told:
        assert f"resize {interpolation.value} {result.value}" in told
