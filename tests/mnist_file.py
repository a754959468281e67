"""The real MNIST training rows as a file that can be mapped, and variants of the article's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import streameval as se


def written(mnist_dir: Path, folder: Path) -> Path:
    """Convert the 60,000 training rows into FOLDER/train.arrow, once."""
    place = folder / "train.arrow"
    if not place.exists():
        stem = mnist_dir / "train"
        se.convert(f"{stem}-images-idx3-ubyte.gz", f"{stem}-labels-idx1-ubyte.gz", place)
    return place


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
