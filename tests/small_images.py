"""Random networks on images: for all of SEEDS the same kinds of steps, so that one kernel computes them all."""

from __future__ import annotations

import numpy as np

import streameval as se

# Of other seeds' images some are too small for one of the ways to compute a convolution.
SEEDS = (0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
SHAPES = ((2, 13, 11), (4, 10, 17), (6, 12, 12), (1, 9, 20))


def normal(rng: np.random.Generator, *shape: int, inputs: int = 1) -> np.ndarray:
    return (rng.normal(size=shape) / np.sqrt(inputs)).astype(np.float32)


def conv(
    rng: np.random.Generator, outputs: int, channels: int, size: tuple[int, int], **more: object
) -> se.Conv2d:
    weight = normal(rng, outputs, channels, *size, inputs=channels * size[0] * size[1])
    return se.Conv2d(weight, normal(rng, outputs) / 2, **more)


def network(seed: int, activation: str = "tanh") -> se.Network:
    """Every kind of layer, with windows, strides, borders, groups and channels by chance."""
    rng = np.random.default_rng(seed)
    shape = SHAPES[seed % len(SHAPES)]
    channels = shape[0]
    groups = int(rng.choice([g for g in (1, 2, 3) if channels % g == 0]))
    size = tuple(int(n) for n in rng.integers(1, 5, 2))
    padding = [int(rng.integers(0, size[k % 2] + 1)) for k in range(4)]
    stride = tuple(int(n) for n in rng.integers(1, 3, 2))
    wide = groups * int(rng.integers(1, 20))
    first = conv(
        rng, wide, channels // groups, size, stride=stride, padding=padding, groups=groups, activation="relu"
    )
    pool = {
        "kernel": (2, 3),
        "stride": (1, 1 + seed // 3 % 2),
        "padding": int(rng.integers(0, 2)),
        "ceil_mode": bool(seed % 2),
    }
    inner = int(rng.integers(1, 15))
    layers: list[object] = [
        first,
        se.MaxPool2d(**pool),
        se.Residual(
            [
                conv(rng, inner, wide, (3, 3), padding=1),
                se.BatchNorm(normal(rng, inner), normal(rng, inner), activation),
                conv(rng, wide, inner, (1, 1)),
            ],
            [se.Dropout(0.7)],
            ("relu", "identity")[seed % 2],
        ),
        conv(rng, 16, wide, (3, 3), padding=1, activation="relu"),
        conv(rng, 12, 16, (3, 3), padding=(1, 0, 2, 1), activation="relu"),
        se.MaxPool2d(2),
        se.AvgPool2d(2, 1, 1, ceil_mode=bool(seed % 3), count_include_pad=bool(seed % 2)),
        se.Activation(activation),
    ]
    shapes = se.Network(layers, shape=shape).shapes
    width = shapes[-1][-1]
    layers += [se.LayerNorm(normal(rng, width) + 1, normal(rng, width))]
    branches = [se.GlobalAvgPool2d(), se.Flatten()], [conv(rng, 12, 12, shapes[-1][1:]), se.Flatten()]
    layers += [se.Residual(*branches), se.Dense(normal(rng, 12, 5, inputs=12), normal(rng, 5), "identity")]
    return se.Network(layers, shape=shape)


def front(seed: int) -> se.Network:
    """The first layer of `network`, and outputs."""
    rng, whole = np.random.default_rng(seed), network(seed)
    inputs = int(np.prod(se.Network(whole.layers[:1], shape=whole.shape).shapes[-1]))
    last = se.Dense(normal(rng, inputs, 5, inputs=inputs), normal(rng, 5), "identity")
    return se.Network([whole.layers[0], se.Flatten(), last], shape=whole.shape)
