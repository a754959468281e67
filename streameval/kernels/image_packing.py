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
from streameval.kernels.winograd import PIECE, SIZE, WINOGRAD, WINOGRAD_POOL, transformed_filters

Pair = tuple[int, int]
Borders = tuple[int, int, int, int]
# Activations that are max(floor, x), which steps do as they write.
_FLOORS = {"identity": -np.inf, "relu": 0.0}
# What the transforms of a piece cost for each channel and output, in products: 264 operations for two of them.
_TRANSFORM_COST = 150


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
    if window[0] == (1, 1) and window[2] == 1 and winograd_pays(shape, weight):
        return _add_winograd(builder, source, shape, shape, weight, bias, window[1], activation)
    (sy, sx), padding, groups = window
    outputs, channels, tall, wide = weight.shape
    image = builder.image(source, *padding)
    own = outputs // groups
    padded, block = _padding(own)
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

    builder.add(
        CONV, image, target, *between(image, target),
        channels * tall * wide, offsets, sx * TILE_ROWS, lambda: sy * image.row(), padded, block, groups,
        lambda: channels * image.plane(), lambda: own * target.plane(),
        builder.weights(blocks), builder.weights(biases), _floor(builder, activation), start,
    )  # fmt: skip
    return _activated(builder, target, activation)


def add_pooled_conv(
    builder: Builder,
    source: Slot,
    shape: tuple[int, int, int],
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    window: tuple[Pair, Borders, int],
    activation: str,
) -> Slot:
    """Add a convolution with outputs of this shape, and after it the largest value of each 2 x 2."""
    pooled = (shape[0], shape[1] // 2, shape[2] // 2)
    if activation in _FLOORS and window[0] == (1, 1) and window[2] == 1 and winograd_pays(shape, weight):
        return _add_winograd(builder, source, shape, pooled, weight, bias, window[1], activation)
    slot = add_conv(builder, source, shape, weight, bias, window, activation)
    return add_max_pool(builder, slot, pooled, ((2, 2), (2, 2), (0, 0, 0, 0)))


def winograd_pays(shape: tuple[int, int, int], weight: NDArray[np.float32]) -> bool:
    """Whether F(4x4, 3x3) takes fewer operations than the sums themselves, transforms included, with some to spare."""
    outputs, channels, tall, wide = weight.shape
    if (tall, wide) != (3, 3):
        return False
    pieces = -(-shape[1] // SIZE) * -(-shape[2] // SIZE)
    products = outputs * channels * PIECE**2
    transforms = _TRANSFORM_COST * (outputs + channels)
    return 1.2 * pieces * (products + transforms) < outputs * channels * 9 * shape[1] * shape[2]


def _add_winograd(
    builder: Builder,
    source: Slot,
    shape: tuple[int, int, int],
    written: tuple[int, int, int],
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    padding: Borders,
    activation: str,
) -> Slot:
    """The same by Winograd's way; `written` is `shape`, or half of it if the largest of each 2 x 2 is wanted."""
    outputs, channels = weight.shape[:2]
    down, across = -(-shape[1] // SIZE), -(-shape[2] // SIZE)
    # Pieces reach over the end of the image, where there are zeros then.
    top, left, bottom, right = padding
    height, width = shape[1] + 2 - top - bottom, shape[2] + 2 - left - right
    over = (SIZE * down + 2 - top - height, SIZE * across + 2 - left - width)
    image = builder.image(source, top, left, *over)
    padded, block = _padding(outputs)
    filters = np.zeros((PIECE**2, padded, channels), np.float32)
    filters[:, :outputs] = transformed_filters(weight).reshape(PIECE**2, outputs, channels)
    blocks = filters.reshape(PIECE**2, padded // block, block, channels).transpose(0, 1, 3, 2)
    target = builder.slot(*written)
    builder.add(
        WINOGRAD if written == shape else WINOGRAD_POOL, image, target, *between(image, target),
        channels, padded, block, builder.offsets(np.arange(channels) * TILE_ROWS), builder.weights(blocks),
        builder.weights(bias), _floor(builder, activation),
        builder.weights(np.array([-np.inf, *[0.0] * block], np.float32)),
        lambda: -top * image.row() - left * TILE_ROWS, down, across,
        temporary=builder.slot(PIECE**2 * (channels + padded)),
    )  # fmt: skip
    return _activated(builder, target, activation)


def _padding(outputs: int) -> tuple[int, int]:
    """(outputs with padding, block): the block that pads least, the largest of equals."""
    block = min(CONV_BLOCKS, key=lambda b: (-(-outputs // b) * b, -b))
    return -(-outputs // block) * block, block


def _floor(builder: Builder, activation: str) -> int:
    """Where the number is below which an output does not go."""
    return builder.weights(np.array([_FLOORS.get(activation, -np.inf)], np.float32))


def _activated(builder: Builder, slot: Slot, activation: str) -> Slot:
    """Apply what the floor was not."""
    return slot if activation in _FLOORS else add_activation(builder, slot, activation)


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
    floor = _floor(builder, activation)
    builder.add(ADD, first, target, *between(first, target), second, second.row, second.plane, floor)
    return _activated(builder, target, activation)


def add_copied_activation(builder: Builder, source: Slot, activation: str) -> Slot:
    """Add an activation by itself: what it is applied to may be needed by others."""
    return add_activation(builder, builder.copy(source), activation)


def _window(image: Slot, window: tuple[Pair, Pair, Borders]) -> tuple[int, ...]:
    kernel, stride, padding = window
    return (*image.image[1:], *kernel, *stride, *padding[:2])
