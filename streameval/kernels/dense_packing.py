"""How a dense layer is packed: in blocks of outputs, and for byte rows as integers and their digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.activations import ACTIVATE, SHARED, activation_operation
from streameval.kernels.dense import BLOCKS, DENSE
from streameval.kernels.dense_bytes import DENSE_BYTES, ENGINES
from streameval.kernels.dense_rows import DENSE_ROWS, INPUT_BLOCK
from streameval.kernels.host import TILE_ROWS, batch_tiles, byte_engine
from streameval.kernels.names import ACTIVATIONS, PARAMETERS, split_activation
from streameval.kernels.packing import Builder, Slot

# What three balanced base-256 digits, and two base-4096 ones, can hold.
_LARGEST = 127 * 65536
# A column keeps its digits in 24 bits if its largest weight is at most so many times its median one.
_SPREAD = 1024.0


def add_dense(
    builder: Builder, source: Slot, weight: NDArray[np.float32], bias: NDArray[np.float32], activation: str
) -> Slot:
    """Add activation(x @ weight + bias), as the first layer of a network or as a later one."""
    if source is not builder.rows:
        slot = _dense(builder, builder.flat(source), weight, bias)
    elif builder.dtype == "uint8":
        slot = _dense_bytes(builder, weight, bias)
    else:
        slot = _dense_rows(builder, weight, bias)
    return add_activation(builder, slot, activation)


def add_activation(builder: Builder, slot: Slot, activation: str) -> Slot:
    """Apply an activation to a slot, in place."""
    name, parameter = split_activation(activation)
    if name == "identity":
        return slot
    if name in SHARED and parameter is None and len(slot.shape) == 1:
        return builder.add(ACTIVATE, slot, slot, slot.neurons, ACTIVATIONS.index(name))
    number = PARAMETERS.get(name, 0.0) if parameter is None else parameter
    place = builder.weights(np.array([number], np.float32))
    planes, lines, width = slot.image
    return builder.add(
        activation_operation(name), slot, slot, width, place, planes, slot.plane, lines, slot.row
    )


def _dense(builder: Builder, source: Slot, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Slot:
    inputs, outputs = weight.shape
    padded, block = _padding(outputs)
    return builder.add(
        DENSE, source, builder.slot(outputs, padded=padded),
        inputs, padded, block, *_blocked(builder, weight, bias, padded, block),
    )  # fmt: skip


def _dense_rows(builder: Builder, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Slot:
    inputs, outputs = weight.shape
    padded, block = _padding(outputs)
    if builder.scale != 1.0:
        weight = (weight.astype(np.float64) * builder.scale).astype(np.float32)
    stretch = min(_up(inputs, 16), INPUT_BLOCK)
    return builder.add(
        DENSE_ROWS, builder.rows, builder.slot(outputs, padded=padded),
        inputs, padded, block, *_blocked(builder, weight, bias, padded, block),
        builder.marks(), temporary=builder.slot(stretch),
    )  # fmt: skip


def _padding(outputs: int) -> tuple[int, int]:
    """(outputs with padding, block): the block that pads least, the largest of equals."""
    block = min(BLOCKS, key=lambda b: (-(-outputs // b) * b, -b))
    return -(-outputs // block) * block, block


def _blocked(
    builder: Builder, weight: NDArray[np.float32], bias: NDArray[np.float32], padded: int, block: int
) -> tuple[int, int]:
    """Offsets of (inputs, outputs) as [padded / block][inputs][block] and of the biases, the padding zero."""
    inputs, outputs = weight.shape
    full = np.zeros((inputs, padded), np.float32)
    full[:, :outputs] = weight
    biases = np.zeros(padded, np.float32)
    biases[:outputs] = bias
    blocks = full.reshape(inputs, padded // block, block).transpose(1, 0, 2)
    return builder.weights(blocks), builder.weights(biases)


def _dense_bytes(builder: Builder, weight32: NDArray[np.float32], bias: NDArray[np.float32]) -> Slot:
    weight = weight32.astype(np.float64)
    features, outputs = weight.shape
    width = _up(outputs, 16)
    finite = bool(np.isfinite(weight).all())
    factor = np.ones(outputs)
    exact = finite and _holds_in_24_bits(weight)
    if exact:
        largest = np.abs(weight).max(axis=0, initial=0.0)
        factor = np.where(largest > 0.0, largest / _LARGEST, 1.0)
        weight = np.rint(weight / factor)
    engine = ENGINES.get(byte_engine())
    integers = engine is not None and exact and features <= engine.MOST_PIXELS
    lanes, block, stride, ints, planes = 0, 0, 0, 0, 0
    if engine is not None:
        lanes, block = engine.layout(outputs)
        stride, ints = engine.working(features // 4)
        whole = weight[: features - features % 4 if integers else 0].astype(np.int32)
        planes = builder.planes(engine.pack(_digits(whole, engine.BASE, engine.PLANES), lanes, block))
    flat = np.zeros((features, width), np.float32)
    flat[:, :outputs] = weight
    scales = np.zeros((2, width))
    scales[0, :outputs] = factor * builder.scale
    scales[1, :outputs] = bias
    # What the engine works in, or lists of pixels where there is none; then the sums, one row more than there are.
    sums = builder.integers(_up(max(ints, features + 32), 16), (batch_tiles() * TILE_ROWS + 1) * lanes + 64)
    return builder.add(
        DENSE_BYTES, builder.rows, builder.slot(outputs, padded=width),
        features, outputs, width, lanes, block, integers, finite, stride, sums,
        planes, builder.weights(flat), builder.factors(scales),
        temporary=builder.slot(16 * width // TILE_ROWS),
    )  # fmt: skip


def _holds_in_24_bits(weight: NDArray[np.float64]) -> bool:
    """Whether 24-bit integers lose no more than float32 would, column by column."""
    size = np.abs(weight)
    typical = np.array([_median(column[column > 0.0]) if column.any() else 0.0 for column in size.T])
    return bool((size.max(axis=0, initial=0.0) <= _SPREAD * typical).all())


def _median(numbers: NDArray[np.float64]) -> float:
    """`np.median` is the same, and loads numpy.ma."""
    ordered = np.sort(numbers)
    return float(0.5 * (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]))


def _digits(weight: NDArray[np.int32], base: int, planes: int) -> NDArray[np.int32]:
    """Integers (pixels, outputs) as balanced digits (pixels, planes * outputs), the lowest first.

    Each is from -base / 2 to base / 2 - 1. Up to three features after the last whole group of four are not among
    the pixels: the kernel adds them itself.
    """
    rest = weight
    digits = []
    for _ in range(planes):
        digits.append(((rest + base // 2) & (base - 1)) - base // 2)
        rest = (rest - digits[-1]) // base
    return np.concatenate(digits, axis=1)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
