"""No patient stands on two sides, the three sides are alike, and the split is a function of data and seed alone."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.assignment import LARGE, split_by_group
from training.data.datasets import Sample, Traits
from training.data.folds import folds_by_group, leave_out
from training.data.splits import Part, SplitPlan, read_split, select, write_split
from training.errors import ArtifactError, DatasetError
from training.recipes.idc_patch import IDC_PATCH

PLAN = SplitPlan(validation=0.15, test=0.25, seed=7)
COHORTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=12, max_size=60)


def _samples(cohort: list[tuple[int, int]]) -> list[Sample]:
    """One patient an entry (benign, malignant patches); a patient without any gets one benign patch."""
    samples = []
    for patient, (benign, malignant) in enumerate(cohort):
        for i, label in enumerate([0] * (benign + (benign + malignant == 0)) + [1] * malignant):
            name = f"{patient}/{label}/{i}.png"
            samples.append(Sample(name, Path(name), label, str(10000 + patient)))
    return samples


def _cohort(patients: int, seed: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    shares = np.clip(rng.beta(0.7, 1.5, patients), 0, 1)
    sizes = rng.integers(10, 60, patients)
    malignant = np.rint(sizes * shares).astype(int)
    return list(zip((sizes - malignant).tolist(), malignant.tolist(), strict=True))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(COHORTS, st.integers(0, 2**31))
def test_every_patient_is_on_exactly_one_side_and_none_is_lost(cohort: list[tuple[int, int]], seed: int) -> None:
    samples = _samples(cohort)
    split = split_by_group(samples, SplitPlan(0.15, 0.25, seed))
    parts = {part: {s.group for s in select(samples, split, part)} for part in Part}
    assert sum(len(groups) for groups in parts.values()) == len(set.union(*parts.values())) == len(cohort)
    assert sum(len(select(samples, split, part)) for part in Part) == len(samples)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(COHORTS, st.integers(0, 2**31))
def test_each_side_is_within_one_patient_of_its_share_of_the_usual_patients(
    cohort: list[tuple[int, int]], seed: int
) -> None:
    sizes = [max(1, benign + malignant) for benign, malignant in cohort]
    usual = {str(10000 + i) for i, size in enumerate(sizes) if size <= LARGE * np.median(sizes)}
    split = split_by_group(_samples(cohort), SplitPlan(0.15, 0.25, seed))
    found = Counter(part for group, part in split.items() if group in usual)
    wanted = {Part.VALIDATION: 0.15, Part.TEST: 0.25, Part.TRAIN: 0.60}
    worst = max(abs(found[part] - share * len(usual)) for part, share in wanted.items())
    assert worst <= 1.0, f"{worst:.2f} patients off: {found} of {len(usual)}"


@settings(derandomize=True, max_examples=30, deadline=None)
@given(COHORTS, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(cohort: list[tuple[int, int]], random: object) -> None:
    samples = _samples(cohort)
    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split_by_group(shuffled, PLAN) == split_by_group(samples, PLAN)


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    samples = _samples(_cohort(60, seed=3))
    splits = [split_by_group(samples, SplitPlan(0.15, 0.25, seed)) for seed in (0, 0, 1, 2)]
    assert splits[0] == splits[1]
    assert len({tuple(sorted((g, p.value) for g, p in split.items())) for split in splits}) == 3


@pytest.mark.parametrize("seed", range(8))
def test_the_sides_hold_the_same_mix_of_malignancy(seed: int) -> None:
    """Patients' mean malignant share differs by far less than between random sides of this size (sd about .07)."""
    samples = _samples(_cohort(160, seed))
    split = split_by_group(samples, SplitPlan(0.15, 0.25, seed))
    labels: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        labels[sample.group].append(sample.label)
    shares = {
        part: float(np.mean([np.mean(found) for group, found in labels.items() if split[group] is part]))
        for part in Part
    }
    assert max(shares.values()) - min(shares.values()) < 0.06, shares


@pytest.mark.parametrize("seed", range(4))
def test_patients_with_very_many_patches_train_and_the_line_is_at_three_times_the_median(seed: int) -> None:
    """Held out, one of them alone would decide the figures."""
    cohort = [(20, 10)] * 40 + [(60, 30)] * 20 + [(60, 31)] * 10
    split = split_by_group(_samples(cohort), SplitPlan(0.15, 0.25, seed))
    at_the_line = {split[str(10000 + patient)] for patient in range(40, 60)}
    above = {split[str(10000 + patient)] for patient in range(60, 70)}
    assert at_the_line - {Part.TRAIN}, "none of twenty patients at three times the median is held out"
    assert above == {Part.TRAIN}


def test_the_published_recipes_shares_are_what_its_split_gives() -> None:
    found = Counter(split_by_group(_samples(_cohort(279, seed=5)), IDC_PATCH.split).values())
    for part, share in ((Part.VALIDATION, 0.15), (Part.TEST, 0.25)):
        assert abs(found[part] / 279 - share) < 0.01, found


@pytest.mark.parametrize("seed", range(5))
def test_a_split_without_a_test_part_has_none_and_its_share_of_validation(seed: int) -> None:
    split = split_by_group(_samples(_cohort(200, seed)), SplitPlan(validation=0.15, test=0.0, seed=seed))
    found = Counter(split.values())
    assert set(found) == {Part.TRAIN, Part.VALIDATION}
    assert abs(found[Part.VALIDATION] / 200 - 0.15) < 0.01, found


@pytest.mark.parametrize("patients", [0, 1, 2])
def test_too_few_patients_to_fill_three_sides_are_refused(patients: int) -> None:
    with pytest.raises(DatasetError, match=f"found {patients} patients, too few to fill .*add patients"):
        split_by_group(_samples([(3, 3)] * patients), PLAN)


def test_select_keeps_the_order_and_refuses_patients_that_the_split_does_not_know() -> None:
    samples = _samples([(2, 1)] * 3)
    split = {"10000": Part.TRAIN, "10001": Part.TEST, "10002": Part.TRAIN}
    chosen = select(reversed(samples), split, Part.TRAIN)
    assert [s.name for s in chosen] == [s.name for s in reversed(samples) if s.group != "10001"]
    with pytest.raises(DatasetError, match=r"1 patients are not in this model's split, the first 10002\..*--part all"):
        select(samples, {"10000": Part.TRAIN, "10001": Part.TEST}, Part.TRAIN)


def test_a_split_is_read_back_as_it_was_written_sorted_by_patient(tmp_path: Path) -> None:
    split = {"9036": Part.TEST, "10253": Part.TRAIN, "8867": Part.VALIDATION}
    write_split(tmp_path / "split.csv", split)
    assert (tmp_path / "split.csv").read_text() == "group,part\n10253,train\n8867,validation\n9036,test\n"
    assert read_split(tmp_path / "split.csv") == split


@pytest.mark.parametrize(
    "text", ["group,part\n1,rehearsal\n", "patient,part\n1,train\n", "group\n1\n", "group,part\n1\n"]
)
def test_a_split_file_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(ArtifactError, match="expected lines 'group,part', found"):
        read_split(path)


def test_a_missing_split_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"missing; .* Fit the recipe again"):
        read_split(tmp_path / "split.csv")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(COHORTS, st.integers(3, 7), st.integers(0, 2**31))
def test_every_patient_is_tested_once_validates_once_and_trains_otherwise(
    cohort: list[tuple[int, int]], k: int, seed: int
) -> None:
    folds = folds_by_group(_samples(cohort), k, seed)
    assert len(folds) == k
    for patient in (str(10000 + i) for i in range(len(cohort))):
        dealt = Counter(split[patient] for split in folds)
        assert dealt == {Part.TEST: 1, Part.VALIDATION: 1, Part.TRAIN: k - 2}
    sizes = [sum(part is Part.TEST for part in split.values()) for split in folds]
    assert max(sizes) - min(sizes) <= 1, sizes
    for split, following in zip(folds, (*folds[1:], folds[0]), strict=True):
        tested_next = {group for group, part in following.items() if part is Part.TEST}
        assert {group for group, part in split.items() if part is Part.VALIDATION} == tested_next


@pytest.mark.parametrize("seed", range(8))
def test_folds_hold_the_same_mix_of_malignancy(seed: int) -> None:
    """Random folds of 32 such patients differ by about .2 between the extremes of five."""
    samples = _samples(_cohort(160, seed))
    share = {g: np.mean([s.label for s in samples if s.group == g]) for g in {s.group for s in samples}}
    folds = folds_by_group(samples, 5, seed)
    means = [float(np.mean([share[g] for g, part in split.items() if part is Part.TEST])) for split in folds]
    assert max(means) - min(means) < 0.06, means


def test_folds_hold_the_same_mix_of_three_labels() -> None:
    """One image a patient, as most of BUSI: 50, 30 and 20 patients of a label give 10, 6 and 4 a fold."""
    labels = [0] * 50 + [1] * 30 + [2] * 20
    samples = [Sample(f"{i}.png", Path("-"), label, f"{i:03}") for i, label in enumerate(labels)]
    for split in folds_by_group(samples, 5, seed=2):
        assert Counter(s.label for s in select(samples, split, Part.TEST)) == {0: 10, 1: 6, 2: 4}


def test_very_large_patients_are_tested_too_and_no_fold_gets_two_before_each_has_one() -> None:
    samples = _samples([(10, 5)] * 40 + [(300, 100 + i) for i in range(5)])
    large = {str(10000 + patient) for patient in range(40, 45)}
    for split in folds_by_group(samples, 5, seed=1):
        assert len(large & {group for group, part in split.items() if part is Part.TEST}) == 1


def test_folds_depend_on_seed_and_data_but_not_on_the_order() -> None:
    samples = _samples(_cohort(60, seed=3))
    folds = folds_by_group(samples, 5, seed=0)
    assert folds_by_group(samples[::-1], 5, seed=0) == folds
    assert folds_by_group(samples, 5, seed=1) != folds


@pytest.mark.parametrize(
    ("patients", "k", "told"),
    [(9, 2, "found 2 folds, expected 3 or more"), (4, 5, "found 4 groups for 5 folds"), (0, 3, "found 0 groups")],
)
def test_too_few_folds_or_patients_for_them_are_refused(patients: int, k: int, told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        folds_by_group(_samples([(3, 3)] * patients), k, seed=0)


SITES = ("Brazil", "Egypt", "Poland")


def _sited(seed: int = 3) -> tuple[list[Sample], dict[str, Traits]]:
    """Return the samples of 60 patients of three sites, and their traits; the last site has few and one scanner."""
    samples = _samples(_cohort(60, seed))
    site_of = {s.group: SITES[min(int(s.group) % 10 // 4, 2)] for s in samples}
    return samples, {
        s.name: (("site", site_of[s.group]), ("scanner", f"{site_of[s.group]} {int(s.group) % 2}")) for s in samples
    }


def test_each_site_has_its_share_in_every_part() -> None:
    samples, traits = _sited()
    split = split_by_group(samples, PLAN, traits)
    assert set(split) == {s.group for s in samples}
    for site in SITES:
        groups = {s.group for s in samples if ("site", site) in traits[s.name]}
        found = Counter(split[group] for group in groups)
        for part, share in ((Part.VALIDATION, 0.15), (Part.TEST, 0.25), (Part.TRAIN, 0.6)):
            assert abs(found[part] - share * len(groups)) <= 1.5, (site, found)
    assert split == split_by_group(samples[::-1], PLAN, traits)


def test_a_site_of_too_few_patients_is_named() -> None:
    samples, traits = _sited()
    few = [s for s in samples if s.group == "10008" or ("site", "Poland") not in traits[s.name]]
    with pytest.raises(DatasetError, match="site Poland: found 1 patients, too few to fill"):
        split_by_group(few, PLAN, traits)


def test_traits_without_a_site_change_no_split() -> None:
    samples, traits = _sited()
    others = {name: found[1:] for name, found in traits.items()}
    assert split_by_group(samples, PLAN, others) == split_by_group(samples, PLAN)


@pytest.mark.parametrize("trait", ["site", "scanner"])
def test_each_value_is_left_out_once_and_the_rest_is_split_within_site(trait: str) -> None:
    samples, traits = _sited()
    folds = leave_out(samples, PLAN, traits, trait)
    assert [fold.value for fold in folds] == sorted({dict(found)[trait] for found in traits.values()})
    assert sorted(name for fold in folds for name in fold.tested) == sorted(s.name for s in samples)
    for fold in folds:
        assert {s.name for s in samples if fold.split[s.group] is Part.TEST} == fold.tested
        rest = {s.group: dict(traits[s.name])["site"] for s in samples if s.name not in fold.tested}
        for site in set(rest.values()):
            found = Counter(fold.split[group] for group in rest if rest[group] == site)
            assert abs(found[Part.VALIDATION] - 0.2 * found.total()) <= 1.5, (fold.value, site, found)


def test_a_trait_that_is_absent_or_not_unique_or_the_same_everywhere_is_refused() -> None:
    samples, traits = _sited()
    with pytest.raises(DatasetError, match=r"found no trait probe .* its traits: scanner, site"):
        leave_out(samples, PLAN, traits, "probe")
    with pytest.raises(DatasetError, match=r"found no trait site .* its traits: none"):
        leave_out(samples, PLAN, {}, "site")
    first = samples[0].name
    with pytest.raises(DatasetError, match=f"1 of {len(samples)} images have no value .* the first {first}: none"):
        leave_out(samples, PLAN, traits | {first: ()}, "site")
    both: Traits = (("site", "Egypt"), ("site", "Poland"))
    with pytest.raises(DatasetError, match=r"or several, the first .*: Egypt, Poland"):
        leave_out(samples, PLAN, traits | {first: both}, "site")
    with pytest.raises(DatasetError, match="found one value of the trait site, Egypt"):
        leave_out(samples, PLAN, dict.fromkeys(traits, (("site", "Egypt"),)), "site")
