"""Copies of one image cluster, other images do not, whatever the order they are given in."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.data.audit.duplicates import SAME_SCAN, closure, clusters, compare, contradictions
from training.data.datasets import Sample, busi, mendeley, mias

Image = NDArray[np.uint8]
SIDE_PX = 240


def _scan(seed: int) -> Image:
    """Draw what all scans share (bright above, dark below, an oval) over texture of their own."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (SIDE_PX, SIDE_PX)), (0, 0), 2.5)
    shading = np.linspace(190, 70, SIDE_PX)[:, np.newaxis]
    image = np.clip(shading + 180 * texture, 0, 255).astype(np.uint8)
    centre = tuple(int(v) for v in rng.integers(90, 150, 2))
    return np.asarray(cv2.ellipse(image, centre, (50, 30), 0, 0, 360, 20, -1), dtype=np.uint8)


def _rotated(image: Image, degrees: float) -> Image:
    turn = cv2.getRotationMatrix2D((SIDE_PX / 2, SIDE_PX / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(image, turn, (SIDE_PX, SIDE_PX)), dtype=np.uint8)


def _calipers(image: Image) -> Image:
    marked = cv2.line(image.copy(), (60, 110), (180, 130), 255, 1)
    return np.asarray(cv2.drawMarker(marked, (60, 110), 255, cv2.MARKER_CROSS, 9, 2), dtype=np.uint8)


COPIES: dict[str, Callable[[Image], Image]] = {
    "brighter": lambda x: np.clip(x * 1.2 + 15, 0, 255).astype(np.uint8),
    "darker": lambda x: (x * 0.6).astype(np.uint8),
    "clahe": lambda x: np.asarray(cv2.createCLAHE(2, (8, 8)).apply(x), dtype=np.uint8),
    "smaller": lambda x: np.asarray(cv2.resize(x, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.uint8),
    "stretched": lambda x: np.asarray(cv2.resize(x, (300, 200), interpolation=cv2.INTER_LINEAR), dtype=np.uint8),
    "calipers": _calipers,
    "cropped": lambda x: x[12:-8, 10:-14],
    "tilted": lambda x: _rotated(x, 4),
    "mirrored": lambda x: x[:, ::-1],
    "upside down": lambda x: x[::-1],
    "quarter turn": lambda x: np.rot90(x),
    "quarter turn back": lambda x: np.rot90(x, 3),
    "transposed": lambda x: x.T,
}


def _save(folder: Path, name: str, image: Image, label: int = 0) -> Sample:
    path = folder / name
    cv2.imwrite(str(path), np.ascontiguousarray(image))
    return Sample(name, path, label, name)


def _others(folder: Path, count: int = 12) -> list[Sample]:
    return [_save(folder, f"other{n:02}.png", _scan(100 + n)) for n in range(count)]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_clusters_with_its_image_alone(tmp_path: Path, name: str) -> None:
    first = _save(tmp_path, "a.png", _scan(0))
    copy = _save(tmp_path, "b.png", COPIES[name](_scan(0)))
    found = clusters([first, copy, *_others(tmp_path)])
    assert found["b.png"] == found["a.png"] == "a.png"
    assert len(set(found.values())) == 13


def test_a_jpeg_of_a_image_clusters_with_it(tmp_path: Path) -> None:
    first = _save(tmp_path, "a.png", _scan(0))
    path = tmp_path / "b.jpg"
    cv2.imwrite(str(path), _scan(0), [cv2.IMWRITE_JPEG_QUALITY, 40])
    assert set(clusters([first, Sample("b.jpg", path, 0, "b"), *_others(tmp_path)]).values()) >= {"a.png"}
    assert clusters([first, Sample("b.jpg", path, 0, "b")])["b.jpg"] == "a.png"


def test_images_that_share_only_shading_and_an_oval_do_not_cluster(tmp_path: Path) -> None:
    comparison = compare(_others(tmp_path, 40), threshold=0.0)
    worst = max((pair.likeness for pair in comparison.pairs), default=0.0)
    assert worst < SAME_SCAN, f"two different images are {worst:.2f} alike"


def test_the_same_pixels_in_another_file_format_are_exact(tmp_path: Path) -> None:
    samples = [_save(tmp_path, name, _scan(0)) for name in ("a.png", "b.pgm", "c.bmp")]
    pairs = compare(samples[:2]).pairs
    assert [(pair.exact, pair.likeness) for pair in pairs] == [(True, 1.0)]


def test_blank_images_are_exact_copies_only_if_their_pixels_are_the_same(tmp_path: Path) -> None:
    levels = {"a.png": 0, "b.png": 0, "c.png": 3}
    samples = [_save(tmp_path, name, np.full((64, 64), level, np.uint8)) for name, level in levels.items()]
    assert clusters(samples) == {"a.png": "a.png", "b.png": "a.png", "c.png": "c.png"}


def test_clusters_join_through_a_image_in_between_and_do_not_depend_on_the_order(tmp_path: Path) -> None:
    steps = [_save(tmp_path, f"step{n}.png", _rotated(_scan(0), 8 * n)) for n in (5, 3, 0, 1, 2, 4)]
    samples = steps + _others(tmp_path, 6)
    expected = compare(samples)
    assert {name for name, top in expected.clusters().items() if top == "step0.png"} == {s.name for s in steps}
    for seed in range(3):
        shuffled = random.Random(seed).sample(samples, len(samples))
        assert compare(shuffled) == expected


def test_contradictions_are_copies_with_different_labels(tmp_path: Path) -> None:
    first = _save(tmp_path, "a.png", _scan(0), label=0)
    second = _save(tmp_path, "b.png", COPIES["brighter"](_scan(0)), label=1)
    third = _save(tmp_path, "c.png", _scan(0), label=0)
    assert contradictions([third, second, first, *_others(tmp_path, 5)]) == ((first, second), (second, third))


def test_a_image_that_cannot_be_read_is_named_and_the_rest_compared(tmp_path: Path) -> None:
    samples = [_save(tmp_path, f"{name}.png", _scan(0)) for name in "abc"]
    samples[1].path.write_bytes(samples[1].path.read_bytes()[:300])
    comparison = compare(samples)
    assert comparison.refused == ("b.png: image_truncated",)
    assert comparison.clusters() == {"a.png": "a.png", "c.png": "a.png"}


def test_nothing_to_compare_is_no_error() -> None:
    assert compare([]).clusters() == {}


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=14))
def test_a_closure_is_what_repeated_squaring_of_the_links_reaches(links: list[tuple[int, int]]) -> None:
    reach = np.eye(12, dtype=bool)
    for one, two in links:
        reach[one, two] = reach[two, one] = True
    for _ in range(4):  # 2 ** 4 steps reach any of 12
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    found = closure(map(str, range(12)), ((str(one), str(two)) for one, two in links))
    assert found == {str(i): str(int(np.argmax(reach[i]))) for i in range(12)}


@pytest.mark.shared
def test_busi_holds_these_contradictions(published: Callable[[str], Path]) -> None:
    found = [
        f"{first.path.stem} = {second.path.stem}"
        for first, second in contradictions(busi.load(published("busi")).samples)
    ]
    assert found == [  # each looked at: the same frame, with another crop or with calipers
        "benign (131) = malignant (51)",
        "benign (269) = normal (1)",
        "benign (333) = malignant (77)",
        "benign (333) = malignant (78)",
        "benign (399) = malignant (93)",
        "benign (42) = malignant (51)",
        "benign (437) = normal (34)",
    ]


@pytest.mark.shared
def test_each_mendeley_source_clusters_with_its_clahe_copy_and_nothing_else(published: Callable[[str], Path]) -> None:
    samples = mendeley.load(published("mendeley")).samples
    found = clusters(samples)
    assert Counter(found.values()) == Counter(dict.fromkeys(found.values(), 2))
    assert all(found[s.name].rsplit("/")[1].startswith(mendeley.source_of(s)) for s in samples)


@pytest.mark.shared
def test_no_two_mammograms_of_mias_are_copies(published: Callable[[str], Path]) -> None:
    assert compare(mias.load(published("mias")).samples).pairs == ()
