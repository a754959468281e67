"""The float64 reference against the naive formulas, which share no line with it."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import small_networks as small
from hypothesis import given, settings
from hypothesis import strategies as st

import streameval as se
from streameval.errors import ModelError
from streameval.kernels import names
from streameval.layers.activations import ACTIVATIONS
from streameval.losses import CrossEntropy
from streameval.scoring import make_scorer


def mlp(layers):
    return se.Mlp(se.Layer(*layer) for layer in layers)


def references(model, source, rows, eps=1e-7):
    """The losses of rows, computed again in float64."""
    return make_scorer(model, source, CrossEntropy(eps=eps)).reference(source.take(np.asarray(rows)))


def test_it_knows_every_activation_that_the_kernels_know():
    assert tuple(ACTIVATIONS) == names.ACTIVATIONS


@settings(max_examples=40, deadline=None)
@given(small.networks(most_features=60), st.sampled_from([0.0, 1e-7, 1e-3]), st.booleans())
def test_its_losses_are_the_naive_ones(layers, eps, soft):
    n, features, classes = 9, layers[0][0].shape[0], layers[-1][0].shape[1]
    x = small.pixels("mixed", n, features, seed=1)
    soft = soft and classes > 1
    t = small.soft_targets(n, classes, seed=1) if soft else small.labels(n, classes, seed=1)
    found = references(mlp(layers), se.open((x, t)), range(n), eps)
    expected = naive.losses(layers, x / 255.0, t, eps)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(small.networks(most_features=60))
def test_its_logits_are_the_naive_ones(layers):
    x = small.floats(9, layers[0][0].shape[0], seed=1).astype(np.float64)
    expected = naive.logits(layers, x)
    values = x
    for layer in mlp(layers).layers:
        values = layer.reference(values)
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


def test_rows_come_in_the_order_asked_for():
    layers = small.network([5, 4, 3], ["tanh"], seed=2)
    x, t = small.floats(50, 5, seed=3), small.labels(50, 3)
    rows = np.random.default_rng(0).integers(0, 50, 4106)
    found = references(mlp(layers), se.open((x, t)), rows)
    np.testing.assert_allclose(found, naive.losses(layers, x[rows], t[rows]), rtol=1e-9)


def test_logits_of_ten_thousand_stay_finite():
    weight = np.array([[1e4, -1e4]], np.float32)
    model = se.Mlp([se.Layer(weight, np.zeros(2, np.float32), "identity")])
    source = se.open((np.ones((2, 1), np.float32), np.array([0, 1])))
    assert references(model, source, range(2)) == pytest.approx([-np.log1p(1e-7), -np.log(1e-7)])
    assert references(model, source, range(2), 0.0) == pytest.approx([0.0, 2e4])


def test_a_network_for_other_rows_is_refused():
    model = mlp(small.network([5, 3], [], seed=2))
    with pytest.raises(ModelError, match="takes 5 features"):
        references(model, se.open((np.zeros((2, 4), np.uint8), np.zeros(2, np.int64))), range(2))
