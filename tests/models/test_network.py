"""A network of any layers: shapes chain, the content is hashed, the float64 reference is that of its layers."""

from __future__ import annotations

import numpy as np
import pytest

from streameval.errors import ModelError
from streameval.layers import LAYERS, Dense, layer_classes
from streameval.models import Layer, Mlp
from streameval.models.network import Network


def dense(*sizes: int, last: str = "identity") -> list[Dense]:
    rng = np.random.default_rng(sum(sizes))
    names = ["tanh"] * (len(sizes) - 2) + [last]
    return [
        Dense(rng.normal(size=(a, b)), rng.normal(size=b), name)
        for a, b, name in zip(sizes, sizes[1:], names, strict=False)
    ]


def test_a_network_of_dense_layers_is_the_mlp_of_them() -> None:
    layers = dense(5, 4, 3)
    network = Network(layers)
    assert Layer is Dense
    assert network == Mlp(layers)
    assert (network.features, network.classes, network.sizes) == (5, 3, (5, 4, 3))
    assert (network.parameters, network.multiply_adds) == (5 * 4 + 4 + 4 * 3 + 3, 5 * 4 + 4 * 3)
    assert repr(network) == "Network(5-4-3, tanh, identity)"


def test_outputs_need_not_be_logits_and_rows_may_have_a_shape() -> None:
    network = Network(dense(12, 4, last="relu"), shape=(3, 4))
    assert (network.features, network.shapes) == (12, ((3, 4), (4,)))
    assert network != Network(network.layers)
    with pytest.raises(ModelError, match=r"takes 12 inputs, not \(3, 5\)"):
        Network(network.layers, shape=(3, 5))


def test_layers_that_do_not_chain_are_named() -> None:
    with pytest.raises(
        ModelError,
        match=r"layer 1 has 3 outputs, but layer 2 takes 4 inputs \(weights \(5, 3\) and \(4, 2\)\)",
    ):
        Network([*dense(5, 3), *dense(4, 2)])


@pytest.mark.parametrize(
    ("layers", "said"), [([], "no layers"), ([5], "layer 1: int, expected a layer: Dense")]
)
def test_what_is_no_layer_is_named(layers: list, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Network(layers)


def test_every_row_of_the_table_is_a_layer_of_that_name() -> None:
    assert [layer.kind for layer in layer_classes()] == list(LAYERS)
