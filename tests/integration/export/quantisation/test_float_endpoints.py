"""Which layers stand at the ends of a network, told from its graph alone."""

from __future__ import annotations

import pytest

from export.quantisation.float_endpoints import Layer, first_layers, is_vector, last_layers


def _layer(name: str, *reads: str, weighted: bool = False, vector: bool = False) -> Layer:
    return Layer(name, reads, f"{name}.out", weighted, vector)


NETWORK = [
    _layer("pad", "image"),
    _layer("first", "pad.out", "first.kernel", weighted=True),
    _layer("pool", "first.out"),
    _layer("second", "pool.out", weighted=True),
    _layer("third", "second.out", weighted=True),
    _layer("relu", "third.out"),
    _layer("fourth", "relu.out", weighted=True),
    _layer("mean of third", "relu.out", vector=True),
    _layer("mean of fourth", "fourth.out", vector=True),
    _layer("joined", "mean of third.out", "mean of fourth.out", vector=True),
    _layer("dense", "joined.out", "dense.kernel", weighted=True, vector=True),
    _layer("bias", "dense.out", "bias.values", vector=True),
]


def test_the_first_layers_come_with_what_precedes_each() -> None:
    assert first_layers(NETWORK[:7]) == [["pad", "first"], ["pool", "second"], ["third"], ["relu", "fourth"]]
    assert first_layers(NETWORK[:3]) == [["pad", "first"]]
    assert first_layers(NETWORK[:1]) == []


def test_the_last_layers_reach_back_over_pooling_to_the_maps() -> None:
    expected = {"bias", "dense", "joined", "mean of third", "mean of fourth"}
    assert set(last_layers(NETWORK, "bias.out")) == expected


def test_a_hidden_dense_layer_is_not_among_the_last() -> None:
    hidden = _layer("hidden", "joined.out", weighted=True, vector=True)
    ending = [
        hidden,
        _layer("relu of hidden", "hidden.out", vector=True),
        _layer("dense", "relu of hidden.out", weighted=True),
    ]
    assert set(last_layers([*NETWORK[:10], *ending], "dense.out")) == {"dense", "relu of hidden"}


def test_a_network_that_ends_with_a_pooled_convolution_keeps_both() -> None:
    ending = [NETWORK[6], _layer("mean", "fourth.out", vector=True)]
    assert last_layers([*NETWORK[:6], *ending], "mean.out") == ["mean", "fourth"]


@pytest.mark.parametrize(
    ("shape", "vector"),
    [((1, 96), True), ((0, 96, 1, 1), True), ((1, 1, 1, 96), True), ((1, 25, 25, 1), False), ((0, 96, 0, 0), False)],
)
def test_a_vector_has_one_side_alone(shape: tuple[int, ...], vector: bool) -> None:
    assert is_vector(shape) is vector
