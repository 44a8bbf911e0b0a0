"""Phantoms are the same everywhere, differ between the classes, and lie in the published IDC layout."""

import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.datasets import phantoms
from training.data.datasets.phantoms import PhantomSet, patch, write

# The pixels of patch(0, 0, 0, True). Regenerate with:
#   python -c "import hashlib; from training.data.datasets.phantoms import patch; \
#     print(hashlib.sha256(patch(0, 0, 0, True).tobytes()).hexdigest())"
# A change here is a new data set: say so in the changelog.
PINNED_SHA256 = "ac6967ee12965d9fb109f3cf642b0b8c067d447b1b34ae4b2fb49a8afc602935"
SMALL = PhantomSet(patients=3, patches_per_patient=7, seed=3)
NAME = re.compile(r"(?P<patient>\d+)_idx5_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<label>[01])\.png")


def _sample(malignant: bool) -> NDArray[np.uint8]:
    return np.stack([patch(5, patient, index, malignant) for patient in range(12) for index in range(6)])


def _haematoxylin(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Red optical density, (n, 50, 50): eosin hardly absorbs red, so this reads haematoxylin back."""
    red = np.maximum(images[..., 0].astype(np.float64), 1.0)
    return np.asarray(-np.log10(red / 243.0))


def _read(folder: Path) -> dict[str, NDArray[np.uint8]]:
    read = {}
    for file in folder.rglob("*.png"):
        bgr = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        read[file.relative_to(folder).as_posix()] = bgr[..., ::-1].astype(np.uint8)
    return read


def test_a_patch_is_50_by_50_rgb_bytes_using_most_of_the_range() -> None:
    images = _sample(malignant=False)
    assert images.shape[1:] == (50, 50, 3)
    assert images.dtype == np.uint8
    assert images.max() >= 235
    assert images.min() <= 110


def test_the_same_arguments_give_the_pinned_pixels() -> None:
    first, second = patch(0, 0, 0, True), patch(0, 0, 0, True)
    np.testing.assert_array_equal(first, second)
    assert hashlib.sha256(first.tobytes()).hexdigest() == PINNED_SHA256


@pytest.mark.parametrize("other", [(1, 0, 0, True), (0, 1, 0, True), (0, 0, 1, True), (0, 0, 0, False)])
def test_any_other_argument_gives_other_pixels(other: tuple[int, int, int, bool]) -> None:
    assert (patch(*other) != patch(0, 0, 0, True)).mean() > 0.5


def test_malignant_patches_hold_more_haematoxylin_and_more_nuclear_area_with_overlap() -> None:
    benign, malignant = _haematoxylin(_sample(False)), _haematoxylin(_sample(True))
    amounts = benign.mean((1, 2)), malignant.mean((1, 2))
    areas = (benign > 0.3).mean((1, 2)), (malignant > 0.3).mean((1, 2))
    for low, high in (amounts, areas):
        assert high.mean() > 1.3 * low.mean(), f"benign {low.mean():.3f}, malignant {high.mean():.3f}"
        quarter = np.quantile(high, 0.25)
        assert low.max() > quarter, f"no overlap: benign <= {low.max():.3f}, malignant quartile {quarter:.3f}"


def test_stain_differs_more_between_patients_than_within_one() -> None:
    means = _sample(False)[..., 1].astype(np.float64).mean((1, 2)).reshape(12, 6)
    between, within = means.mean(1).var(ddof=1), means.var(1, ddof=1).mean() / 6
    assert between > 1.5 * within, f"variance between {between:.1f}, expected by chance {within:.1f}"


def test_write_gives_the_published_layout_and_counts(tmp_path: Path) -> None:
    assert write(SMALL, tmp_path) == 21
    files = _read(tmp_path / "IDC_regular_ps50_idx5")
    assert len(files) == 21
    positions = set()
    for name, image in files.items():
        patient, label, base = name.split("/")
        match = NAME.fullmatch(base)
        assert match is not None, name
        assert (match["patient"], match["label"]) == (patient, label)
        assert int(patient) >= phantoms.FIRST_PATIENT_ID
        assert int(match["x"]) % 50 == int(match["y"]) % 50 == 1
        assert image.shape == (50, 50, 3)
        positions.add((patient, match["x"], match["y"]))
    assert len(positions) == 21


def test_a_written_file_reads_back_as_the_patch_in_rgb(tmp_path: Path) -> None:
    write(SMALL, tmp_path)
    files = _read(tmp_path / "IDC_regular_ps50_idx5")
    (name,) = [name for name in files if name.startswith("90002/") and "_x1051_y1051_" in name]
    np.testing.assert_array_equal(files[name], patch(3, 1, 4, "/1/" in name))


def test_writing_twice_gives_the_same_files(tmp_path: Path) -> None:
    write(SMALL, tmp_path / "a")
    write(SMALL, tmp_path / "b")
    first, second = _read(tmp_path / "a"), _read(tmp_path / "b")
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_malignant_share_varies_and_some_patients_have_none_or_all(tmp_path: Path) -> None:
    write(PhantomSet(patients=16, patches_per_patient=6), tmp_path)
    labels: dict[str, list[int]] = {}
    for name in _read(tmp_path / "IDC_regular_ps50_idx5"):
        patient, label, _ = name.split("/")
        labels.setdefault(patient, []).append(int(label))
    shares = {patient: float(np.mean(values)) for patient, values in labels.items()}
    assert {0.0, 1.0} <= set(shares.values())
    assert len(set(shares.values())) >= 4
    assert 0.2 < np.mean(list(shares.values())) < 0.5


def test_write_refuses_a_root_that_already_holds_the_folder(tmp_path: Path) -> None:
    kept = tmp_path / "IDC_regular_ps50_idx5" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("kept")
    with pytest.raises(FileExistsError, match=r"found .*IDC_regular_ps50_idx5; expected .*; choose another root"):
        write(SMALL, tmp_path)
    assert [file.name for file in kept.parent.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize(
    "wrong",
    [{"patients": 0}, {"patches_per_patient": 0}, {"seed": -1}],
)
def test_a_set_that_cannot_be_drawn_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected counts >= 1"):
        PhantomSet(**wrong)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share in 0\.\.1"):
        PhantomSet(malignant_share=share)
