"""Write ``docs/reference/vectors``: test vectors for a reimplementation of a bundle in another language.

    python -m tests.vectors.regenerate

All images are drawn by a formula (:func:`drawn`), so the files are small and hold no patient's image. Floats of float32
are written as the hexadecimal digits of their bits; ``docs/reference/reimplement.md`` describes the files.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.policy import CaseRule, DecisionPolicy, Head
from edge_runtime.decision.case import decide_case
from edge_runtime.decision.rule import DecisionRule, margins
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import ImageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.images.region import Region, RegionCrop, crop, cut
from edge_runtime.inference.backends import litert
from edge_runtime.ood.discriminants import Discriminants
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.ood.network_features import FEATURES, NetworkFamiliarity
from edge_runtime.ood.statistics import statistics
from edge_runtime.preprocessing.kernels import operations
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    CentreCrop,
    Colour,
    Interpolation,
    Letterbox,
    MinMax,
    Normalize,
    Pad,
    PixelType,
    Resize,
    ResizeShorter,
    Scale,
    Sharpen,
    Step,
    Target,
    Window,
)
from edge_runtime.serialisation.float16 import packed
from edge_runtime.serialisation.records import to_dict
from tests.places import ROOT

FOLDER = ROOT / "docs" / "reference" / "vectors"
BYTE, FLOAT = PixelType.UINT8, PixelType.FLOAT32
Vector = dict[str, Any]


def drawn(width: int, height: int, channels: int = 1, bits: int = 8) -> npt.NDArray[Any]:
    """Return the drawn image: uint8 or uint16, H×W or H×W×3."""
    y, x, c = np.ogrid[0:height, 0:width, 0:channels]
    value = 37 * x + 59 * y + 83 * c + x * y // 7 + (x * x + 3 * y * y) // 11
    pixels = (value * 257 % 65536).astype(np.uint16) if bits == 16 else (value % 256).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def described(width: int, height: int, order: str = "grey", bits: int = 8) -> tuple[DecodedImage, Vector]:
    """Return a drawn image and its description in a vector."""
    channels = 1 if order == "grey" else 3
    image = DecodedImage("drawn", drawn(width, height, channels, bits), ColourOrder(order))
    return image, {"width": width, "height": height, "channels": channels, "bits": bits, "order": order}


def result_of(pixels: npt.NDArray[Any]) -> Vector:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    values: list[Any] = pixels.ravel().tolist()
    if pixels.dtype == np.float32:
        values = [f"{bits:08x}" for bits in np.ascontiguousarray(pixels).view(np.uint32).ravel().tolist()]
    size = {"width": pixels.shape[1], "height": pixels.shape[0], "channels": channels}
    return {**size, "type": str(pixels.dtype), "values": values}


def stepped(name: str, step: Step, *image: Any, float32: bool = False) -> Vector:
    """Return the vector of one step on a drawn image; with ``float32`` on its values / 8 - 5."""
    drawing, description = described(*image)
    pixels: npt.NDArray[Any] = drawing.pixels
    if float32:
        pixels = pixels.astype(np.float32) / np.float32(8) - np.float32(5)
    done = pixels
    for operation in operations((step,))[drawing.order]:
        done = operation(done, name)
    vector = {"name": name, "step": to_dict(step), "image": description}
    return {**vector, **({"float32": True} if float32 else {}), "result": result_of(done)}


def of_steps() -> Iterator[Vector]:
    rgb = ColourOrder.RGB
    yield stepped("colour, rgb to grey", Colour(ColourOrder.GREY), 9, 7, "rgb")
    yield stepped("colour, bgr to grey", Colour(ColourOrder.GREY), 9, 7, "bgr")
    yield stepped("colour, bgr to rgb", Colour(rgb), 4, 3, "bgr")
    yield stepped("colour, grey to rgb", Colour(rgb), 4, 3)
    yield stepped("window, 16 bits", Window(9000, 52000), 9, 7, "grey", 16)
    yield stepped("window, 8 bits", Window(20, 201), 9, 7)
    for interpolation in Interpolation:
        for result in PixelType:
            whole = {Interpolation.LINEAR_EXACT, Interpolation.LINEAR_ANTIALIAS, Interpolation.BICUBIC_ANTIALIAS}
            if interpolation is Interpolation.AREA or (result is FLOAT and interpolation in whole):
                continue
            if interpolation is Interpolation.LINEAR and result is BYTE:
                continue  # both call OpenCV
            name = f"{interpolation.value} to {result.value}"
            yield stepped(f"resize, {name}, smaller", Resize(5, 4, interpolation, result), 13, 11)
            yield stepped(f"resize, {name}, larger", Resize(11, 9, interpolation, result), 7, 4)
            yield stepped(f"resize, {name}, colour", Resize(6, 9, interpolation, result), 9, 5, "rgb")
    exact, bicubic = Interpolation.LINEAR_EXACT, Interpolation.BICUBIC_ANTIALIAS
    nearest = Resize(5, 6, Interpolation.NEAREST, BYTE)
    yield stepped("resize, nearest, where additions decide", nearest, 14, 16)
    yield stepped("resize, the same size", Resize(5, 4, exact, BYTE), 5, 4)
    yield stepped("resize, linear on float32", Resize(5, 4, Interpolation.LINEAR, FLOAT), 9, 7, float32=True)
    yield stepped("resize, from one pixel", Resize(3, 2, exact, BYTE), 1, 1)
    yield stepped("resize_shorter, wide", ResizeShorter(5, exact, BYTE), 17, 7)
    yield stepped("resize_shorter, tall", ResizeShorter(5, bicubic, BYTE), 7, 16)
    yield stepped("letterbox, wide", Letterbox(10, 10), 17, 8)
    yield stepped("letterbox, tall, colour", Letterbox(7, 6), 5, 11, "rgb")
    yield stepped("letterbox, a line", Letterbox(6, 5), 40, 1)
    yield stepped("pad, to pixels", Pad(8, 7, Target.PIXELS, 9.0), 5, 4)
    yield stepped("pad, to a ratio", Pad(4, 3, Target.ASPECT_RATIO, 255.0), 5, 6)
    yield stepped("pad, float32", Pad(6, 6, Target.PIXELS, -1.5), 4, 5, float32=True)
    yield stepped("centre_crop, to pixels", CentreCrop(4, 3, Target.PIXELS), 9, 8)
    yield stepped("centre_crop, to a ratio", CentreCrop(1, 1, Target.ASPECT_RATIO), 8, 5, "rgb")
    for border in Border:
        yield stepped(f"sharpen, {border.value}", Sharpen(LAPLACIAN_SHARPEN_3X3, BYTE, border), 7, 6)
    yield stepped("sharpen, float32", Sharpen(LAPLACIAN_SHARPEN_3X3, FLOAT, Border.REFLECT_101), 6, 5, "rgb")
    yield stepped("min_max", MinMax(-1.0, 1.0), 6, 5)
    yield stepped("min_max, colour", MinMax(0.0, 1.0), 4, 4, "rgb")
    yield stepped("scale", Scale(127.5, -1.0), 6, 5)
    yield stepped("scale, no offset", Scale(255.0, 0.0), 6, 5)
    yield stepped("normalize", Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), 4, 3, "rgb", float32=True)
    yield stepped("normalize, uint8", Normalize((103.939, 116.779, 123.68), (1.0, 1.0, 1.0)), 4, 3, "bgr")


def of_regions() -> Iterator[Vector]:
    rule, blank = RegionCrop(1.5, 4.0), RegionCrop(1.5, 4.0, least_range=250)
    asked = [
        ("inside", rule, (10.0, 9.0, 3.3), (20, 18)),
        ("the least half side", rule, (9.0, 9.0, 1.0), (20, 18)),
        ("halves, to even", rule, (9.75, 8.75, 3.5), (20, 18)),  # 4.5, 3.5 and 10.5
        ("over the corner", rule, (4.2, 3.6, 4.0), (20, 18)),
        ("over the edge, colour", rule, (11.0, 5.0, 4.0), (12, 10, "rgb")),
        ("beside the image", rule, (20.0, 4.0, 3.0), (20, 18)),
        ("on the outermost pixel", rule, (19.0, 9.0, 2.0), (20, 18)),
        ("far too large", rule, (9.0, 9.0, 4000.0), (20, 18)),
        ("a range that is too small", blank, (6.0, 6.0, 4.0), (20, 18)),
    ]
    for name, given, circle, size in asked:
        image, description = described(*size)
        region = Region(*circle)
        vector = {"name": name, "image": description, "rule": to_dict(given), "region": region.to_dict()}
        try:
            yield {**vector, "result": result_of(crop(image, region, given).pixels)}
        except ImageError as error:
            yield {**vector, "refused": error.code}


def of_statistics() -> Iterator[Vector]:
    for size in ((50, 50, "rgb"), (50, 50, "bgr"), (300, 233), (65, 40, "rgb"), (3, 200), (80, 90, "grey", 16), (1, 1)):
        image, description = described(*size)
        name = " ".join(map(str, size))
        yield {"name": name, "image": description, "statistics": statistics(image).tolist()}


def of_network_features() -> Iterator[Vector]:
    components = np.array([[0.5, -0.25, 0.75, 0.125, -0.5, 0.0625], [-0.3, 0.6, 0.1, -0.7, 0.2, 0.05]], "<f2")
    check = NetworkFamiliarity(
        statistics=FEATURES,
        layer="layer",
        mean=(0.2, 0.5, 1.5, 0.3, 0.4, 0.6),
        scale=(0.1, 0.2, 0.3, 0.05, 0.1, 0.2),
        components=base64.b64encode(components.tobytes()).decode("ascii"),
        deviations=(2.5, 1.25),
        residual=0.75,
        limit=3.0,
    )
    rows = {"familiar": (0.25, 0.5, 1.25, 0.15, 0.5, 2.0), "unfamiliar": (0.75, 0.25, 3.0, 0.5, 0.5, 8.5)}
    rows["a variance below 0"] = (0.5, 0.5, 1.0, 0.125, 0.25, 1.5)
    for name, moments in rows.items():
        yield _network_share(name, check, moments)
    weights = np.array([[0.5, -0.25, 0.75, 0.125, -0.5, 0.0625], [-0.5, 0.125, 0.25, -0.75, 0.5, -0.5]], "<f2")
    known = Discriminants(("enlarged", "grey"), packed(weights), (0.5, -0.25))
    for name, moments in rows.items():
        yield _network_share(f"{name}, with discriminants", replace(check, discriminants=known), moments)
    for name, limited, image in (
        ("sides beyond the limit", replace(check, image=ImageLimits(64, 90)), (40, 100)),
        ("sides within the limit", replace(check, image=ImageLimits(64, 512)), (64, 100)),
        ("the dark share", replace(check, image=ImageLimits(least_dark=0.75)), (300, 130)),
        ("the dark share of colours", replace(check, image=ImageLimits(least_dark=1e-5)), (70, 129, "bgr")),
        ("the dark share of 16 bits", replace(check, image=ImageLimits(least_dark=0.75)), (65, 63, "grey", 16)),
    ):
        yield _network_share(name, limited, rows["familiar"], *image)


def _network_share(name: str, check: NetworkFamiliarity, moments: Sequence[float], *drawing: Any) -> Vector:
    """Return the vector of a share; the drawn image is the image as read."""
    vector: Vector = {"name": name, "familiarity": to_dict(check), "moments": list(moments)}
    excess = 0.0
    if drawing:
        image, vector["image"] = described(*drawing)
        excess = check.image_share(image, image) or 0.0
    return {**vector, "share": max(check.share(np.array(moments, np.float32)), excess)}


def of_decisions() -> Iterator[Vector]:
    two, three = ("benign", "malignant"), ("benign", "malignant", "normal")
    plain, floor = DecisionPolicy(0.5, 0.0), DecisionPolicy(0.3, 0.9, temperature=1.6)
    asked = [
        ("softmax, positive", Head.SOFTMAX, three, two[1:], floor, (-3.0, 4.5, 0.25)),
        ("softmax, below the floor", Head.SOFTMAX, three, two[1:], floor, (1.0, 1.25, 0.25)),
        ("softmax, two positive labels", Head.SOFTMAX, three, ("malignant", "normal"), plain, (0.75, 0.5, 0.25)),
        ("softmax, at the cut-off", Head.SOFTMAX, two, two[1:], plain, (0.5, 0.5)),
        ("softmax, large logits", Head.SOFTMAX, two, two[1:], plain, (1000.0, -1000.0)),
        ("sigmoid, positive", Head.SIGMOID, two, two[1:], floor, (4.5,)),
        ("sigmoid, negative", Head.SIGMOID, two, two[1:], floor, (-5.75,)),
        ("sigmoid, far away", Head.SIGMOID, two, two[1:], plain, (-800.0,)),
        ("independent_sigmoids", Head.INDEPENDENT_SIGMOIDS, three, two[1:], plain, (-2.0, 0.5, -1.0)),
        ("independent_sigmoids, far away", Head.INDEPENDENT_SIGMOIDS, three, two[1:], plain, (-900.0, -901.0, -903.0)),
        ("probabilities", Head.PROBABILITIES, two, two[1:], plain, (0.25, 0.75)),
        ("probabilities, clipped", Head.PROBABILITIES, two, two[1:], plain, (-0.0078125, 1.0078125)),
    ]
    base = replace(find("idc-patch-compact").manifest.spec, familiarity=None)
    for name, head, labels, positive, policy, logits in asked:
        spec = replace(base, head=head, labels=labels, positive=positive, policy=policy)
        for state in ("", "unfamiliar", "rerun") if name == "sigmoid, positive" else ("",):
            rule, told = DecisionRule(spec), f"{name}, {state}" if state else name
            asking = {"familiar": state != "unfamiliar", "rerun": state == "rerun"}
            verdict = rule.verdict(np.array(logits, np.float32), **asking)
            found = {
                "scores": [verdict.scores[label] for label in labels],
                "score": verdict.score,
                "confidence": verdict.confidence,
                "margin": float(margins(np.array([logits], np.float32), spec)[0]),
                "decision": verdict.decision.value,
                "reason": verdict.reason.value,
                "label": verdict.label,
            }
            kept = {"labels": list(labels), "positive": list(positive), "head": head.value, "policy": to_dict(policy)}
            yield {"name": told, "spec": kept, "logits": list(logits), **asking, "verdict": found}


def of_cases() -> Iterator[Vector]:
    rule = CaseRule(confidence=0.75, count=2)
    for text, confidences in (
        ("PPN", (0.9, 0.75, 0.8)),
        ("PPN", (0.9, 0.7, 0.8)),
        ("PNN", (0.9, 0.9, 0.8)),
        ("PR", (0.9, 0.99)),
        ("RR", (0.9, 0.9)),
        ("NN", (0.9, 0.5)),
    ):
        found = [{"P": Decision.POSITIVE, "N": Decision.NEGATIVE, "R": Decision.REFER}[letter] for letter in text]
        verdict = decide_case(found, confidences, rule)
        yield {
            "name": f"{text} {confidences}",
            "rule": to_dict(rule),
            "decisions": [decision.value for decision in found],
            "confidences": list(confidences),
            "decision": verdict.decision.value,
            "reason": verdict.reason.value,
        }


def of_models() -> Iterator[Vector]:
    circle = Region(140.5, 90.0, 33.3)
    images = [(50, 50, "bgr"), (123, 77, "bgr"), (640, 480, "grey"), (301, 417, "bgr")]
    for name in ("idc-patch-compact", "breast-us", "breast-us-lesion", "mias-region"):
        spec = find(name).manifest.spec
        for size in images if spec.region is None else images[2:]:
            image, description = described(*size)
            region = None if spec.region is None else circle
            shown = cut(image, region, spec.region)
            vector: Vector = {"name": f"{name} {size[0]}x{size[1]} {size[2]}", "model": name, "image": description}
            if region is not None:
                vector["region"] = region.to_dict()
            tensor = preprocess(shown, spec.steps)
            vector["contract"] = spec.contract
            vector["tensor_sha256"] = hashlib.sha256(tensor.astype("<f4").tobytes()).hexdigest()
            if spec.image_check is not None:
                vector["share"] = spec.image_check.share(spec.image_check.judged(image, shown))
            yield vector


def of_quantisation() -> Iterator[Vector]:
    values = np.array([-1.0, -0.9960784, -0.5, -0.003921569, 0.0, 0.003921569, 0.25, 1.0, 1.5, -2.0], np.float32)
    for name, scale, zero_point in (
        ("input of -1..1", 0.007843137718737125, -1),
        ("input of 0..1", 0.00390625, -128),
        ("halves", 0.25, 3),
    ):
        detail = {"dtype": np.int8, "quantization": (scale, zero_point)}
        levels = litert._quantise(values, detail)
        logits = litert._dequantise(np.array([-128, -1, 0, 77, 127], np.int8), detail)
        yield {
            "name": name,
            "scale": scale,
            "zero_point": zero_point,
            "values": result_of(values[np.newaxis])["values"],
            "levels": levels.tolist(),
            "output_levels": [-128, -1, 0, 77, 127],
            "outputs": result_of(logits[np.newaxis])["values"],
        }


ALL = {
    "steps": of_steps,
    "regions": of_regions,
    "statistics": of_statistics,
    "quantisation": of_quantisation,
    "network_features": of_network_features,
    "decisions": of_decisions,
    "cases": of_cases,
    "models": of_models,
}
"""The files, by name, and what makes them."""


def written(name: str, folder: Path = FOLDER) -> Path:
    """Write one file, a vector a line."""
    lines = ",\n".join(json.dumps(vector, separators=(", ", ": ")) for vector in ALL[name]())
    path = folder / f"{name}.json"
    path.write_text(f'{{"vectors": [\n{lines}\n]}}\n', encoding="utf-8")
    return path


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in ALL:
        print(written(name))
