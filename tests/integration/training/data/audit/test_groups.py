"""Patient, source and near-same images end in one group, whatever joins them and in whatever order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.bundle.metrics import NearCopies
from training.data.audit.duplicates import NEAR, DuplicatePair, DuplicateSearch
from training.data.audit.groups import contradicted_names, unite_copies, united, united_names, uniting
from training.data.datasets import Dataset, Sample, mendeley, mias
from training.recipes import RECIPES

LINKS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=15)


def _samples(groups: list[int]) -> list[Sample]:
    return [Sample(f"{i:02}.png", Path("-"), i % 2, f"g{group}") for i, group in enumerate(groups)]


def _dataset(*samples: Sample) -> Dataset:
    return Dataset(Path("-"), ("benign", "malignant"), samples)


def _reached(start: str, samples: list[Sample], links: list[tuple[int, int]]) -> set[str]:
    """Walk from image to image over shared groups and links: an oracle that knows no union."""
    found, waiting = {start}, [start]
    while waiting:
        group = waiting.pop()
        rows = {i for i, sample in enumerate(samples) if sample.group == group}
        near = {b for a, b in links if a in rows} | {a for a, b in links if b in rows}
        new = {samples[row].group for row in near} - found
        found |= new
        waiting += new
    return found


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=20, max_size=20), LINKS)
def test_groups_are_one_exactly_if_a_walk_over_groups_and_pairs_joins_them(
    groups: list[int], links: list[tuple[int, int]]
) -> None:
    samples = _samples(groups)
    names = united_names(samples, [DuplicatePair(samples[a], samples[b], 0.9, False) for a, b in links])
    for group in {sample.group for sample in samples}:
        assert {other for other, name in names.items() if name == names[group]} == _reached(group, samples, links)


def test_the_united_group_is_called_by_its_first_image_in_whatever_order_pairs_come() -> None:
    samples = _samples([7, 3, 5, 1])
    pairs = [DuplicatePair(samples[2], samples[3], 0.9, False), DuplicatePair(samples[0], samples[2], 0.9, False)]
    expected = {"g7": "g7", "g5": "g7", "g1": "g7", "g3": "g3"}
    assert united_names(samples, pairs) == united_names(samples[::-1], pairs[::-1]) == expected


def test_a_note_counts_the_groups_before_and_after() -> None:
    a, b, c = (Sample(f"{n}.png", Path("-"), 0, n) for n in "abc")
    dataset = united(_dataset(a, b, c), DuplicateSearch((a, b, c), (DuplicatePair(a, b, 0.9, False),), ()))
    assert [s.group for s in dataset.samples] == ["a", "a", "c"]
    assert dataset.notes == ("3 patients were joined to 2: they share near-same images",)


def test_without_pairs_nothing_changes_but_that_they_were_looked_for() -> None:
    dataset = _dataset(*_samples([1, 1, 2]))
    looked_for = replace(dataset, near=NearCopies(NEAR, pictures=3, pairs=0, exact=0, contradictions=0))
    assert united(dataset, DuplicateSearch(dataset.samples, (), ())) == looked_for


@pytest.mark.parametrize(("likeness", "labels", "count"), [(0.8, (0, 1), 2), (0.79, (0, 1), 0), (0.99, (1, 1), 0)])
def test_labels_contradict_from_near_on(likeness: float, labels: tuple[int, int], count: int) -> None:
    a, b = (Sample(f"{i}.png", Path("-"), label, "g") for i, label in enumerate(labels))
    assert len(contradicted_names(DuplicateSearch((a, b), (DuplicatePair(a, b, likeness, False),), ()))) == count


def _draw(path: Path, seed: int, gain: float = 1.0) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (200, 200)), (0, 0), 2.5)
    cv2.imwrite(str(path), np.clip(110 + 180 * gain * noise, 0, 255).astype(np.uint8))


def test_images_on_disk_unite_their_patients_and_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, seed, gain in (("a", 1, 1.0), ("b", 2, 1.0), ("c", 1, 0.7), ("d", 3, 1.0)):
        _draw(tmp_path / f"{name}.png", seed, gain)
    (tmp_path / "d.png").write_bytes((tmp_path / "d.png").read_bytes()[:300])
    labels = {"a": 0, "b": 0, "c": 1, "d": 0}
    samples = (Sample(f"{n}.png", tmp_path / f"{n}.png", label, n) for n, label in labels.items())
    dataset = unite_copies(_dataset(*samples))
    assert [s.group for s in dataset.samples] == ["a", "b", "a", "d"]
    assert dataset.contradicted == {"a.png", "c.png"}
    assert len(dataset.notes) == 3
    assert dataset.notes[-1] == "1 images cannot be read and were not compared: d.png: image_truncated"


def test_a_uniting_loader_loads_and_unites(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _draw(tmp_path / f"{name}.png", 1)

    def load(root: Path) -> Dataset:
        return _dataset(*(Sample(f"{n}.png", root / f"{n}.png", 0, n) for n in "ab"))

    assert {s.group for s in uniting(load)(tmp_path).samples} == {"a"}


def test_the_recipe_of_mias_joins_two_women_who_share_a_image(tmp_path: Path) -> None:
    (tmp_path / mias.INFO).write_text("mdb001 G NORM\nmdb003 G NORM\nmdb005 D CIRC B\n")
    for number, seed in ((1, 1), (3, 1), (5, 2)):
        _draw(tmp_path / f"mdb{number:03}.pgm", seed)
    assert [s.group for s in RECIPES["mias-abnormality"].source.load(tmp_path).samples] == ["1", "1", "3"]


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("density-malignancy-")])
def test_recipes_of_mendeley_join_two_women_who_share_a_image(name: str, tmp_path: Path) -> None:
    folder = tmp_path / mendeley.LABELS[0]
    folder.mkdir()
    for source, seed in ((11, 1), (22, 1), (33, 2)):
        _draw(folder / f"{source}.png", seed)
    rows = [f"{source},{mendeley.LABELS[0]},{woman}" for woman, source in enumerate((11, 22, 33))]
    (tmp_path / mendeley.GROUPS).write_text("\n".join(["source_id,label,patient_group", *rows]) + "\n")
    assert [s.group for s in RECIPES[name].source.load(tmp_path).samples] == ["0", "0", "2"]
