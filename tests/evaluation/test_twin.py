"""The float64 twin against the naive formulas, which share no line with it."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import small_networks as small
from hypothesis import given, settings
from hypothesis import strategies as st
from streameval.evaluation.twin import TWIN_CHUNK, twin_losses

import streameval as se
from streameval.errors import ModelError
from streameval.kernels import names
from streameval.layers.activations import ACTIVATIONS


def mlp(layers):
    return se.Mlp(se.Layer(*layer) for layer in layers)


def test_it_knows_every_activation_that_the_kernels_know():
    assert tuple(ACTIVATIONS) == names.ACTIVATIONS


@settings(max_examples=40, deadline=None)
@given(small.networks(most_features=60), st.sampled_from([0.0, 1e-7, 1e-3]), st.booleans())
def test_its_losses_are_the_naive_ones(layers, eps, soft):
    n, features, classes = 9, layers[0][0].shape[0], layers[-1][0].shape[1]
    x = small.pixels("mixed", n, features, seed=1)
    soft = soft and classes > 1
    t = small.soft_targets(n, classes, seed=1) if soft else small.labels(n, classes, seed=1)
    found = twin_losses(mlp(layers), se.open((x, t)), np.arange(n), eps=eps)
    expected = naive.losses(layers, x / 255.0, t, eps)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_rows_come_in_the_order_asked_for_over_several_chunks():
    layers = small.network([5, 4, 3], ["tanh"], seed=2)
    x, t = small.floats(50, 5, seed=3), small.labels(50, 3)
    rows = np.random.default_rng(0).integers(0, 50, TWIN_CHUNK + 10)
    found = twin_losses(mlp(layers), se.open((x, t)), rows)
    np.testing.assert_allclose(found, naive.losses(layers, x[rows], t[rows]), rtol=1e-9)


def test_logits_of_ten_thousand_stay_finite():
    weight = np.array([[1e4, -1e4]], np.float32)
    model = se.Mlp([se.Layer(weight, np.zeros(2, np.float32), "identity")])
    source = se.open((np.ones((2, 1), np.float32), np.array([0, 1])))
    assert twin_losses(model, source, np.arange(2)) == pytest.approx([-np.log1p(1e-7), -np.log(1e-7)])
    assert twin_losses(model, source, np.arange(2), eps=0.0) == pytest.approx([0.0, 2e4])


def test_a_network_for_other_rows_is_refused():
    model = mlp(small.network([5, 3], [], seed=2))
    with pytest.raises(ModelError, match="takes 5 features"):
        twin_losses(model, se.open((np.zeros((2, 4), np.uint8), np.zeros(2, np.int64))), np.arange(2))
