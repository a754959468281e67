"""Fewer layers that give the same: what a layer does to the numbers of the one before it is done to its weights.

Knows pairs of layers. The kernels get what comes out; content hash and float64 reference stay those of what was given.
Folded numbers are computed in float64 and rounded to float32 once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from streameval.layers.conv2d import Conv2d
from streameval.layers.dense import Dense
from streameval.layers.layer import Layer
from streameval.layers.normalization import BatchNorm
from streameval.layers.plain import Activation, Dropout

_AnyLayer = TypeVar("_AnyLayer", bound=Layer)


def fused(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers, each merged into the one before it where that gives the same."""
    out: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Dropout) and layer.factor == 1.0:
            continue
        merged = _merged(out[-1], layer) if out else None
        if merged is None:
            out.append(layer)
        else:
            out[-1] = merged
    return tuple(out)


def _merged(one: Layer, two: Layer) -> Layer | None:
    """One layer that does what two do one after the other, or None."""
    if getattr(one, "activation", None) == "identity" and isinstance(two, Activation):
        return _with(one, activation=two.activation)
    if isinstance(one, Conv2d | Dense) and one.activation == "identity" and isinstance(two, BatchNorm):
        if len(one.bias) != two.scale.size:
            return None
        return _with(
            _scaled(one, two.scale.astype(np.float64), two.shift.astype(np.float64)),
            activation=two.activation,
        )
    # A positive power of two rounds nothing, and relu(f x) = f relu(x).
    factor = two.factor if isinstance(two, Dropout) else 0.0
    exact = math.frexp(factor)[0] == 0.5
    if exact and isinstance(one, Conv2d | Dense) and one.activation in ("identity", "relu"):
        return _scaled(one, np.full(len(one.bias), factor), np.zeros(len(one.bias)))
    return None


def _scaled(layer: Conv2d | Dense, scale: Any, shift: Any) -> Conv2d | Dense:
    """The layer whose sums are times scale plus shift, both float64, one for each output."""
    shape = (-1, 1, 1, 1) if isinstance(layer, Conv2d) else (1, -1)
    weight = layer.weight.astype(np.float64) * scale.reshape(shape)
    return _with(
        layer, weight=weight.astype(np.float32), bias=(layer.bias * scale + shift).astype(np.float32)
    )


def _with(layer: _AnyLayer, **changed: Any) -> _AnyLayer:
    """The layer with other fields: it is not checked again."""
    out = object.__new__(type(layer))
    for field in fields(layer):  # type: ignore[arg-type]
        object.__setattr__(out, field.name, changed.get(field.name, getattr(layer, field.name)))
    return out
