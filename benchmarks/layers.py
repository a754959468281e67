"""What a network is made of, as every contestant gets it, and its exact outputs in float64.

Knows formulas. Imports nothing of streameval: `exact_logits` is what its losses are checked against.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


class Dense(NamedTuple):
    """activation(x @ weight + bias); weight (inputs, outputs), bias (outputs,), float32. Takes any shape of as many
    values."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str


class Conv(NamedTuple):
    """activation of a cross-correlation: weight (outputs, inputs, height, width), zeros on every side."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str
    padding: int = 0
    stride: int = 1


class Pool(NamedTuple):
    """Windows of 2 x 2 side by side: "max" or "mean"."""

    kind: str


class Average(NamedTuple):
    """The mean of each channel."""


class Branches(NamedTuple):
    """activation(body(x) + shortcut(x)); an empty shortcut is x."""

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...]
    activation: str


Layer = Dense | Conv | Pool | Average | Branches

ACTIVATIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
}


def exact_logits(layers: tuple[Layer, ...], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, *shape) -> outputs, every formula written out in float64."""
    for layer in layers:
        if isinstance(layer, Dense):
            z = a.reshape(len(a), -1) @ layer.weight.astype(np.float64) + layer.bias.astype(np.float64)
            a = ACTIVATIONS[layer.activation](z)
        elif isinstance(layer, Conv):
            a = ACTIVATIONS[layer.activation](_convolved(layer, a))
        elif isinstance(layer, Pool):
            n, c, h, w = a.shape
            windows = a.reshape(n, c, h // 2, 2, w // 2, 2)
            a = windows.max(axis=(3, 5)) if layer.kind == "max" else windows.mean(axis=(3, 5))
        elif isinstance(layer, Average):
            a = a.mean(axis=(2, 3), keepdims=True)
        else:
            a = ACTIVATIONS[layer.activation](exact_logits(layer.body, a) + exact_logits(layer.shortcut, a))
    return a


def _convolved(layer: Conv, a: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(a, ((0, 0), (0, 0), (layer.padding,) * 2, (layer.padding,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.weight.shape[2:], (2, 3))
    windows = windows[:, :, :: layer.stride, :: layer.stride]
    out = np.tensordot(windows, layer.weight.astype(np.float64), axes=((1, 4, 5), (1, 2, 3)))
    return np.moveaxis(out, -1, 1) + layer.bias.astype(np.float64)[:, None, None]


def after(layer: Layer, shape: Shape) -> Shape:
    """The shape of a row behind a layer."""
    if isinstance(layer, Dense):
        return (layer.weight.shape[1],)
    if isinstance(layer, Conv):
        room, kernel = 2 * layer.padding, layer.weight.shape[2:]
        sides = (((side + room - k) // layer.stride + 1) for side, k in zip(shape[1:], kernel, strict=True))
        return (layer.weight.shape[0], *sides)
    if isinstance(layer, Pool):
        return (shape[0], shape[1] // 2, shape[2] // 2)
    if isinstance(layer, Average):
        return (shape[0], 1, 1)
    for one in layer.body:
        shape = after(one, shape)
    return shape


def flops(layers: tuple[Layer, ...], shape: Shape) -> int:
    """Floating point operations of one row, nothing skipped: two for each weight and place."""
    total = 0
    for layer in layers:
        if isinstance(layer, Dense):
            total += 2 * layer.weight.size
        elif isinstance(layer, Conv):
            total += 2 * layer.weight.size * math.prod(after(layer, shape)[1:])
        elif isinstance(layer, Branches):
            total += flops(layer.body, shape) + flops(layer.shortcut, shape)
        shape = after(layer, shape)
    return total


def convert(layers: tuple[Layer, ...], made: Callable[[Dense | Conv], Any]) -> tuple[Any, ...]:
    """The same layers, those with weights as what `made` makes of them."""
    return tuple(
        made(layer)
        if isinstance(layer, Dense | Conv)
        else Branches(convert(layer.body, made), convert(layer.shortcut, made), layer.activation)
        if isinstance(layer, Branches)
        else layer
        for layer in layers
    )
