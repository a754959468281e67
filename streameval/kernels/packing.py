"""A network as the flat arrays that the kernels read: packed once, used for every tile.

Knows layouts. The rules here depend on the weights and on the host's tile sizes only, never on the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.byte_rows import WIDTH
from streameval.kernels.dense import BLOCKS
from streameval.kernels.first_layer import ENGINES
from streameval.kernels.forward import INPUT_BLOCK
from streameval.kernels.host import TILE_ROWS, byte_engine
from streameval.kernels.names import ACTIVATIONS

# What three balanced base-256 digits, and two base-4096 ones, can hold.
_LARGEST = 127 * 65536
# A column keeps its digits in 24 bits if its largest weight is at most so many times its median one.
_SPREAD = 1024.0


class LayerLike(Protocol):
    """What packing asks of a layer: weight (inputs, outputs), bias (outputs,) float32, activation name."""

    @property
    def weight(self) -> NDArray[np.float32]: ...
    @property
    def bias(self) -> NDArray[np.float32]: ...
    @property
    def activation(self) -> str: ...


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Packed:
    """A network ready for the kernels, for rows of one dtype and scale."""

    features: int
    classes: int
    layers: NDArray[np.int64]
    weights: NDArray[np.float32]
    first: NDArray[np.int64]
    planes: NDArray[np.int8]
    first_weights: NDArray[np.float32]
    scales: NDArray[np.float64]
    # Scratch of one thread: numbers of float32 and int32.
    work: int
    ints: int

    @property
    def is_bytes(self) -> bool:
        return self.first.size > 0


def pack(layers: Sequence[LayerLike], *, dtype: Any, scale: float) -> Packed:
    """Pack a network for uint8 or float32 rows whose stored values are multiplied by `scale`."""
    is_bytes = np.dtype(dtype) == np.uint8
    table = np.zeros((len(layers), 7), np.int64)
    parts: list[NDArray[np.float32]] = []
    size = 0
    for i, layer in enumerate(layers):
        inputs, outputs = layer.weight.shape
        block = min(BLOCKS, key=lambda b: (-(-outputs // b) * b, -b))
        padded = -(-outputs // block) * block
        table[i] = inputs, outputs, padded, block, ACTIVATIONS.index(layer.activation), size, size
        if i > 0 or not is_bytes:
            weight = layer.weight if i > 0 or scale == 1.0 else _scaled(layer.weight, scale)
            parts.append(_blocked(weight, padded, block))
            size += inputs * padded
            table[i, 6] = size
        parts.append(_padded(layer.bias, padded))
        size += padded
    features, classes = layers[0].weight.shape[0], layers[-1].weight.shape[1]
    tallest = max(
        max(_up(int(row[2]), 16) for row in table), 0 if is_bytes else min(_up(features, 16), INPUT_BLOCK)
    )
    work = 2 * (tallest + 1) * TILE_ROWS
    common = {
        "features": features,
        "classes": classes,
        "layers": table,
        "weights": aligned(np.concatenate(parts)),
    }
    if not is_bytes:
        return Packed(**common, **_no_bytes(), work=work)
    first = _first_layer(layers[0], scale)
    work = max(work, 2 * 16 * int(first["first"][WIDTH]))
    return Packed(**common, **first, work=work)


def _blocked(weight: NDArray[np.float32], padded: int, block: int) -> NDArray[np.float32]:
    """(inputs, outputs) as [padded / block][inputs][block], the padding zero, flat."""
    inputs, outputs = weight.shape
    full = np.zeros((inputs, padded), np.float32)
    full[:, :outputs] = weight
    return np.ascontiguousarray(full.reshape(inputs, padded // block, block).transpose(1, 0, 2)).ravel()


def _padded(bias: NDArray[np.float32], padded: int) -> NDArray[np.float32]:
    full = np.zeros(padded, np.float32)
    full[: len(bias)] = bias
    return full


def _scaled(weight: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    return (weight.astype(np.float64) * scale).astype(np.float32)


def _first_layer(layer: LayerLike, scale: float) -> dict[str, Any]:
    weight = layer.weight.astype(np.float64)
    features, outputs = weight.shape
    width, stride = _up(outputs, 16), _up(features // 4, 16)
    finite = bool(np.isfinite(weight).all())
    factor = np.ones(outputs)
    exact = finite and _holds_in_24_bits(weight)
    if exact:
        largest = np.abs(weight).max(axis=0, initial=0.0)
        factor = np.where(largest > 0.0, largest / _LARGEST, 1.0)
        weight = np.rint(weight / factor)
    engine = ENGINES.get(byte_engine())
    integers = engine is not None and exact and features <= engine.MOST_PIXELS
    lanes, block, planes = 0, 0, np.empty(0, np.int8)
    if engine is not None:
        lanes, block = engine.layout(outputs)
        planes = planes.astype(engine.pack(np.zeros((0, outputs), np.int32), lanes).dtype)
        if integers:
            whole = weight[: features - features % 4].astype(np.int32)
            planes = aligned(engine.pack(_digits(whole, engine.BASE, engine.PLANES), lanes))
    flat = np.zeros((features, width), np.float32)
    flat[:, :outputs] = weight
    scales = np.zeros((2, width))
    scales[0, :outputs] = factor * scale
    scales[1, :outputs] = layer.bias
    # Rows as the tile registers want them, or lists of pixels; then the sums.
    sums = _up(max(TILE_ROWS * stride, features + 32), 16)
    return {
        "first": np.array([features, outputs, width, lanes, block, integers, finite, stride, sums], np.int64),
        "planes": planes,
        "first_weights": flat.ravel(),
        "scales": scales.ravel(),
        "ints": _up(sums + (TILE_ROWS + 1) * lanes + 64, 16),
    }


def _holds_in_24_bits(weight: NDArray[np.float64]) -> bool:
    """Whether 24-bit integers lose no more than float32 would, column by column."""
    size = np.abs(weight)
    typical = np.array([np.median(column[column > 0.0]) if column.any() else 0.0 for column in size.T])
    return bool((size.max(axis=0, initial=0.0) <= _SPREAD * typical).all())


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


def aligned(flat: NDArray[Any]) -> NDArray[Any]:
    """A copy that starts at a multiple of 64 bytes, as whole cache lines and tile registers want it."""
    room = np.empty(flat.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    out = room[start : start + flat.nbytes].view(flat.dtype)
    out[:] = flat
    return out


def _no_bytes() -> dict[str, Any]:
    return {
        "first": np.empty(0, np.int64),
        "planes": np.empty(0, np.int8),
        "first_weights": np.empty(0, np.float32),
        "scales": np.empty(0),
        "ints": 1,
    }


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
