"""Networks of which two layers read the rows themselves: each has weights, sums and marks of its own."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import small_networks as small

import streameval as se


def network(widths: tuple[int, int], features: int) -> se.Network:
    rng = np.random.default_rng(features)
    scale = 2.0 / np.sqrt(features)

    def dense(inputs: int, outputs: int, activation: str) -> se.Dense:
        weight = rng.normal(size=(inputs, outputs), scale=scale).astype(np.float32)
        return se.Dense(weight, rng.normal(size=outputs).astype(np.float32), activation)

    body, shortcut = (
        [dense(features, width, "tanh"), dense(width, 7, "identity")]
        if width
        else [dense(features, 7, "relu")]
        for width in widths
    )
    return se.Network([se.Residual(body, shortcut, "tanh"), dense(7, 10, "identity")], shape=(features,))


@pytest.mark.parametrize("dtype", ["bytes", "floats"])
@pytest.mark.parametrize("widths", [(0, 0), (40, 0), (9, 70)])
@pytest.mark.parametrize("features", [64, 203])
def test_two_dense_layers_that_read_the_same_rows_do_not_disturb_each_other(
    dtype: str, widths: tuple[int, int], features: int
) -> None:
    """On rows of more than a batch of tiles, and some that are left over."""
    model, n = network(widths, features), 2 * 64 + 37
    x = small.pixels("mixed", n, features) if dtype == "bytes" else small.floats(n, features)
    t = small.labels(n, 10)
    logits = model.reference(x * (1 / 255) if dtype == "bytes" else x.astype(np.float64))
    losses = se.per_sample_losses(model, (x, t), eps=0.0)
    assert losses == pytest.approx(naive.cross_entropy(logits, t, 0.0), abs=2e-5)
