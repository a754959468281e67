"""How layers on images are packed: which operation computes them, with which numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.convolution import CONV, CONV_BLOCKS, CONV_POOL
from streameval.kernels.dense_packing import add_activation
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.packing import Builder, Slot, between
from streameval.kernels.pointwise import ADD, AFFINE, LAYER_NORM
from streameval.kernels.pooling import AVG_POOL, GLOBAL_AVG, MAX_POOL
from streameval.kernels.winograd import PIECE, SIZE, WINOGRAD, WINOGRAD_POOL, transformed_filters

Pair = tuple[int, int]
Borders = tuple[int, int, int, int]
Image = tuple[int, int, int]


class Convolution(Protocol):
    """What packing asks of a convolution, see `layers.conv2d`."""

    @property
    def weight(self) -> NDArray[np.float32]: ...
    @property
    def bias(self) -> NDArray[np.float32]: ...
    @property
    def stride(self) -> Pair: ...
    @property
    def padding(self) -> Borders: ...
    @property
    def groups(self) -> int: ...
    @property
    def activation(self) -> str: ...


# Activations that are max(floor, x), which steps do as they write.
_FLOORS = {"identity": -np.inf, "relu": 0.0}
# What the transforms of a piece cost for each channel and output, in products: 264 operations for two of them.
_TRANSFORM_COST = 150
_LARGEST = 1e18


def add_conv(
    builder: Builder, source: Slot, conv: Convolution, shape: Image, *, pooled: bool = False
) -> Slot:
    """Add a convolution with sums of this shape; if `pooled`, the largest of each 2 x 2 of its outputs."""
    plain = conv.groups == 1 and conv.activation in _FLOORS
    if pooled and not plain:
        slot = add_conv(builder, source, conv, shape)
        return add_max_pool(builder, slot, _half(shape), ((2, 2), (2, 2), (0, 0, 0, 0)))
    written = _half(shape) if pooled else shape
    if conv.stride == (1, 1) and conv.groups == 1 and winograd_pays(shape, conv.weight):
        target = _add_winograd(builder, source, conv, shape, written)
    else:
        target = _add_sums(builder, source, conv, written, pooled=pooled)
    return target if conv.activation in _FLOORS else add_activation(builder, target, conv.activation)


def winograd_pays(shape: Image, weight: NDArray[np.float32]) -> bool:
    """Whether F(4x4, 3x3) takes fewer operations than the sums themselves, transforms included, with some to spare."""
    outputs, channels, tall, wide = weight.shape
    # A weight that is not finite, or nearly so, would spoil the other sums of its piece.
    if (tall, wide) != (3, 3) or not (np.abs(weight) < _LARGEST).all():
        return False
    pieces = -(-shape[1] // SIZE) * -(-shape[2] // SIZE)
    products = outputs * channels * PIECE**2
    transforms = _TRANSFORM_COST * (outputs + channels)
    return 1.2 * pieces * (products + transforms) < outputs * channels * 9 * shape[1] * shape[2]


def _add_sums(builder: Builder, source: Slot, conv: Convolution, written: Image, *, pooled: bool) -> Slot:
    """A convolution by sums in order."""
    (sy, sx), padding, groups = conv.stride, conv.padding, conv.groups
    outputs, channels, tall, wide = conv.weight.shape
    image, own = builder.image(source, *padding), outputs // groups
    padded, block = _padding(own)
    target = builder.slot(*written, padded=0 if pooled else outputs - own + padded)
    lines = builder.slot(block * 4 * written[2]) if pooled else None
    full = np.zeros((groups, padded, channels * tall * wide), np.float32)
    full[:, :own] = conv.weight.reshape(groups, own, -1)
    biases = np.zeros((groups, padded), np.float32)
    biases[:, :own] = conv.bias.reshape(groups, own)
    blocks = full.reshape(groups, padded // block, block, -1).transpose(0, 1, 3, 2)

    def offsets() -> int:
        c, i, j = np.ogrid[:channels, :tall, :wide]
        return builder.offsets(c * image.plane() + i * image.row() + j * TILE_ROWS)

    return builder.add(
        CONV_POOL if pooled else CONV, image, target, *between(image, target),
        channels * tall * wide, offsets, sx * TILE_ROWS, lambda: sy * image.row(), padded, block, groups,
        lambda: channels * image.plane(), lambda: own * target.plane(),
        builder.weights(blocks), builder.weights(biases), _floor(builder, conv.activation), _start(image, padding),
        temporary=lines,
    )  # fmt: skip


def _add_winograd(builder: Builder, source: Slot, conv: Convolution, shape: Image, written: Image) -> Slot:
    """The same by Winograd's way; `written` is `shape`, or half of it if the largest of each 2 x 2 is wanted."""
    outputs, channels = conv.weight.shape[:2]
    down, across = -(-shape[1] // SIZE), -(-shape[2] // SIZE)
    # Pieces reach over the end of the image, where there are zeros then.
    top, left, bottom, right = conv.padding
    height, width = shape[1] + 2 - top - bottom, shape[2] + 2 - left - right
    over = (SIZE * down + 2 - top - height, SIZE * across + 2 - left - width)
    image = builder.image(source, top, left, *over)
    padded, block = _padding(outputs)
    filters = np.zeros((PIECE**2, padded, channels), np.float32)
    filters[:, :outputs] = transformed_filters(conv.weight).reshape(PIECE**2, outputs, channels)
    blocks = filters.reshape(PIECE**2, padded // block, block, channels).transpose(0, 1, 3, 2)
    target = builder.slot(*written)
    return builder.add(
        WINOGRAD if written == shape else WINOGRAD_POOL, image, target, *between(image, target),
        channels, padded, block, builder.offsets(np.arange(channels) * TILE_ROWS), builder.weights(blocks),
        builder.weights(conv.bias), _floor(builder, conv.activation),
        builder.weights(np.array([-np.inf, *[0.0] * block], np.float32)), _start(image, conv.padding), down, across,
        temporary=builder.slot(PIECE**2 * (channels + padded)),
    )  # fmt: skip


def _start(image: Slot, padding: Borders) -> Callable[[], int]:
    """How far it is from the first value of an image to that of the first window, once the border is known."""
    return lambda: -padding[0] * image.row() - padding[1] * TILE_ROWS


def _half(shape: Image) -> Image:
    return shape[0], shape[1] // 2, shape[2] // 2


def _padding(outputs: int) -> tuple[int, int]:
    """(outputs with padding, block): the block that pads least, the largest of equals."""
    block = min(CONV_BLOCKS, key=lambda b: (-(-outputs // b) * b, -b))
    return -(-outputs // block) * block, block


def _floor(builder: Builder, activation: str) -> int:
    """Where the number is below which an output does not go."""
    return builder.weights(np.array([_FLOORS.get(activation, -np.inf)], np.float32))


def add_max_pool(builder: Builder, source: Slot, shape: Image, window: tuple[Pair, Pair, Borders]) -> Slot:
    """Add the largest values of windows: (kernel, stride, padding)."""
    image, target = builder.image(source), builder.slot(*shape)
    return builder.add(MAX_POOL, image, target, *between(image, target), *_window(image, window))


def add_avg_pool(
    builder: Builder,
    source: Slot,
    shape: Image,
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


def add_sum(builder: Builder, one: Slot, two: Slot, activation: str, *, in_place: bool) -> Slot:
    """Add activation(one + two), into the place of `one` if nobody else needs that."""
    first, second = builder.image(one), builder.image(two)
    target = first if in_place else builder.slot(*first.shape)
    floor = _floor(builder, activation)
    builder.add(ADD, first, target, *between(first, target), second, second.row, second.plane, floor)
    return target if activation in _FLOORS else add_activation(builder, target, activation)


def add_copied_activation(builder: Builder, source: Slot, activation: str) -> Slot:
    """Add an activation by itself: what it is applied to may be needed by others."""
    return add_activation(builder, builder.copy(source), activation)


def _window(image: Slot, window: tuple[Pair, Pair, Borders]) -> tuple[int, ...]:
    kernel, stride, padding = window
    return (*image.image[1:], *kernel, *stride, *padding[:2])
