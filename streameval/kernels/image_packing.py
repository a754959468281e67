"""How layers on images are packed: which operation computes them, with which numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.convolution import CONV, CONV_BLOCKS
from streameval.kernels.dense_packing import add_activation
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.packing import Builder, Slot, between
from streameval.kernels.pointwise import ADD, AFFINE, LAYER_NORM
from streameval.kernels.pooling import AVG_POOL, GLOBAL_AVG, MAX_POOL

Pair = tuple[int, int]
Borders = tuple[int, int, int, int]
# Activations that are max(floor, x), which steps do as they write.
_FLOORS = {"identity": -np.inf, "relu": 0.0}


def add_conv(
    builder: Builder,
    source: Slot,
    shape: tuple[int, int, int],
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    window: tuple[Pair, Borders, int],
    activation: str,
) -> Slot:
    """Add a convolution with outputs of this shape. window: (stride, padding, groups)"""
    (sy, sx), padding, groups = window
    outputs, channels, tall, wide = weight.shape
    image = builder.image(source, *padding)
    own = outputs // groups
    block = min(CONV_BLOCKS, key=lambda b: (-(-own // b) * b, -b))
    padded = -(-own // block) * block
    target = builder.slot(*shape, padded=outputs - own + padded)
    full = np.zeros((groups, padded, channels * tall * wide), np.float32)
    full[:, :own] = weight.reshape(groups, own, -1)
    biases = np.zeros((groups, padded), np.float32)
    biases[:, :own] = bias.reshape(groups, own)
    blocks = full.reshape(groups, padded // block, block, -1).transpose(0, 1, 3, 2)

    def offsets() -> int:
        c, i, j = np.ogrid[:channels, :tall, :wide]
        return builder.offsets(c * image.plane() + i * image.row() + j * TILE_ROWS)

    def start() -> int:
        """From the first value of the image to that of the first window."""
        return -padding[0] * image.row() - padding[1] * TILE_ROWS

    floor = _FLOORS.get(activation, -np.inf)
    builder.add(
        CONV, image, target, *between(image, target),
        channels * tall * wide, offsets, sx * TILE_ROWS, lambda: sy * image.row(), padded, block, groups,
        lambda: channels * image.plane(), lambda: own * target.plane(),
        builder.weights(blocks), builder.weights(biases), builder.weights(np.array([floor], np.float32)), start,
    )  # fmt: skip
    return target if activation in _FLOORS else add_activation(builder, target, activation)


def add_max_pool(
    builder: Builder, source: Slot, shape: tuple[int, int, int], window: tuple[Pair, Pair, Borders]
) -> Slot:
    """Add the largest values of windows: (kernel, stride, padding)."""
    image, target = builder.image(source), builder.slot(*shape)
    return builder.add(MAX_POOL, image, target, *between(image, target), *_window(image, window))


def add_avg_pool(
    builder: Builder,
    source: Slot,
    shape: tuple[int, int, int],
    window: tuple[Pair, Pair, Borders],
    counts: NDArray[np.float64],
) -> Slot:
    """Add the means of windows, sums divided by counts (height, width)."""
    image, target = builder.image(source), builder.slot(*shape)
    shares = builder.weights((1.0 / counts).astype(np.float32))
    return builder.add(AVG_POOL, image, target, *between(image, target), *_window(image, window), shares)


def add_global_avg(builder: Builder, source: Slot) -> Slot:
    """Add the mean of each channel."""
    image = builder.image(source)
    target = builder.slot(image.image[0], 1, 1)
    return builder.add(GLOBAL_AVG, image, target, *between(image, target), *image.image[1:])


def add_affine(
    builder: Builder, source: Slot, scale: NDArray[np.float32], shift: NDArray[np.float32], activation: str
) -> Slot:
    """Add activation(x scale + shift), for each channel, or each value of a row, its own."""
    image = builder.image(source)
    target = builder.slot(*image.shape)
    numbers = builder.weights(scale), builder.weights(shift)
    builder.add(AFFINE, image, target, *between(image, target), *numbers)
    return add_activation(builder, target, activation)


def add_layer_norm(
    builder: Builder, source: Slot, gamma: NDArray[np.float32], beta: NDArray[np.float32], eps: float
) -> Slot:
    """Add a normalization of each `gamma.size` values that follow one another."""
    flat = builder.flat(source)
    target = builder.slot(*flat.shape)
    target.flat = True
    return builder.add(
        LAYER_NORM, flat, target, flat.neurons // gamma.size, gamma.size,
        builder.weights(gamma), builder.weights(beta), builder.factors(np.array([eps])),
    )  # fmt: skip


def add_sum(builder: Builder, one: Slot, two: Slot, activation: str) -> Slot:
    """Add activation(one + two)."""
    first, second = builder.image(one), builder.image(two)
    target = builder.slot(*first.shape)
    floor = builder.weights(np.array([_FLOORS.get(activation, -np.inf)], np.float32))
    builder.add(ADD, first, target, *between(first, target), second, second.row, second.plane, floor)
    return target if activation in _FLOORS else add_activation(builder, target, activation)


def add_copied_activation(builder: Builder, source: Slot, activation: str) -> Slot:
    """Add an activation by itself: what it is applied to may be needed by others."""
    return add_activation(builder, builder.copy(source), activation)


def _window(image: Slot, window: tuple[Pair, Pair, Borders]) -> tuple[int, ...]:
    kernel, stride, padding = window
    return (*image.image[1:], *kernel, *stride, *padding[:2])
