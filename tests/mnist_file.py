"""Variants of a network: rounded, and as another checkpoint of the same training."""

from __future__ import annotations

import numpy as np

import streameval as se


def rounded(model: se.Mlp) -> se.Mlp:
    """The same network with weights rounded to float16."""
    return se.Mlp(
        se.Layer(layer.weight.astype(np.float16), layer.bias.astype(np.float16), layer.activation)
        for layer in model.layers
    )


def nudged(model: se.Mlp, by: float, *, seed: int = 0) -> se.Mlp:
    """The same network with normal noise of this standard deviation on its weights: another checkpoint."""
    rng = np.random.default_rng(seed)
    return se.Mlp(
        se.Layer(
            layer.weight + rng.normal(0.0, by, layer.weight.shape).astype(np.float32),
            layer.bias,
            layer.activation,
        )
        for layer in model.layers
    )
