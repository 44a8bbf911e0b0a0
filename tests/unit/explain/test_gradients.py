"""The arithmetic of heatmaps, by hand; tests/training/saliency holds it against TensorFlow."""

from __future__ import annotations

import io

import numpy as np
import pytest

from edge_runtime.bundle.policy import Head
from edge_runtime.errors import ManifestError
from edge_runtime.explain.class_activation import eigen_cam, from_npz, grad_cam, to_npz

FEATURES = np.array([[[1.0, 0.0], [2.0, 1.0]], [[0.0, 3.0], [1.0, 1.0]]], dtype=np.float32)  # 2×2 places, 2 channels


def test_a_linear_heads_map_is_the_channels_weighed_by_its_column() -> None:
    weights = (np.array([[1.0, 5.0], [-0.5, 7.0]], dtype=np.float32),)
    found = grad_cam(FEATURES, (), weights, 0, Head.SOFTMAX)
    assert found.tolist() == [[1.0, 1.5], [0.0, 0.5]]  # 0 - 1.5 is cut off


def test_the_gradient_passes_the_units_above_nought_alone() -> None:
    weights = (np.array([[1.0, 10.0, 100.0], [0.0, 0.0, 1.0]], np.float32), np.array([[1.0], [1.0], [1.0]], np.float32))
    hidden = np.array([2.0, 0.0, 0.5], dtype=np.float32)  # the second is silenced
    assert grad_cam(FEATURES, (hidden,), weights, 0, Head.SOFTMAX)[0].tolist() == [101.0, 203.0]


def test_one_sigmoid_speaks_for_its_second_label_and_its_opposite_for_the_first() -> None:
    weights = (np.array([[1.0], [-1.0]], dtype=np.float32),)
    second = grad_cam(FEATURES, (), weights, 1, Head.SIGMOID)
    first = grad_cam(FEATURES, (), weights, 0, Head.SIGMOID)
    assert second.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert first.tolist() == [[0.0, 0.0], [3.0, 0.0]]


def test_features_of_one_kind_are_their_own_eigen_map() -> None:
    strength = np.array([[1.0, 2.0], [0.0, 4.0]])
    features = (strength[..., np.newaxis] * np.array([0.6, 0.8])).astype(np.float32)
    assert np.allclose(eigen_cam(features), strength, atol=1e-6)


def test_matrices_survive_their_file_and_equal_ones_give_equal_bytes() -> None:
    weights = (np.ones((3, 4), np.float32), np.arange(8, dtype=np.float32).reshape(4, 2))
    read = from_npz(to_npz(weights), "here")
    assert all(np.array_equal(a, b) for a, b in zip(weights, read, strict=True))
    assert to_npz(weights) == to_npz(weights)


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no npz",
        _npz(),
        _npz(other=np.ones((2, 2))),
        _npz(weights_0=np.ones(3)),
        _npz(weights_0=np.ones((3, 4)), weights_1=np.ones((5, 2))),
        _npz(weights_0=np.array([object()])),
    ],
    ids=["empty", "text", "nothing", "another name", "vector", "misfit", "pickled"],
)
def test_a_file_of_no_fitting_matrices_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ManifestError, match="there"):
        from_npz(data, "there")
