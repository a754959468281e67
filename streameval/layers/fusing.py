"""Fewer layers that give the same: what a layer does to the numbers of the one before it is done to its weights.

Knows pairs of layers. The kernels get what comes out; content hash and float64 reference stay those of what was given.
Folded numbers are computed in float64 and rounded to float32 once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from streameval.frozen import frozen
from streameval.layers.conv2d import Conv2d
from streameval.layers.dense import Dense
from streameval.layers.layer import Layer
from streameval.layers.normalization import BatchNorm
from streameval.layers.plain import Activation, Dropout
from streameval.layers.pooling import MaxPool2d

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, PackableLayer, Slot

_AnyLayer = TypeVar("_AnyLayer", bound=Layer)


@frozen(eq=False)
class PooledConv2d:
    """A convolution and the largest value of each 2 x 2 after it, for the kernels: no layer that users give."""

    conv: Conv2d

    @property
    def inputs(self) -> None:
        """Not settled by itself, see `Conv2d`."""

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """See `Layer`."""
        from streameval.kernels.image_packing import add_conv

        return add_conv(builder, source, self.conv, self.conv.shape(source.shape), pooled=True)


def fused(layers: Sequence[Layer]) -> tuple[PackableLayer, ...]:
    """The layers, each merged into the one before it where that gives the same, and pooling into convolutions."""
    out: list[PackableLayer] = []
    for layer in merged(layers):
        if out and isinstance(out[-1], Conv2d) and isinstance(layer, MaxPool2d) and _halves(layer):
            out[-1] = PooledConv2d(out[-1])
        else:
            out.append(layer)
    return tuple(out)


def _halves(pool: MaxPool2d) -> bool:
    return pool.kernel == pool.stride == (2, 2) and not any(pool.padding) and not pool.ceil_mode


def merged(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, each merged into the weights of the one before it where that gives the same."""
    out: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Dropout) and layer.factor == 1.0:
            continue
        both = _merged(out[-1], layer) if out else None
        if both is None:
            out.append(layer)
        else:
            out[-1] = both
    return out


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
