"""What PyTorch's operators do to rows on their way through a network: one function and one row of `OPERATIONS` each.

The operators: https://docs.pytorch.org/docs/stable/torch.compiler_ir.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from streameval.errors import ModelError
from streameval.layers import AvgPool2d, GlobalAvgPool2d, LayerNorm, MaxPool2d
from streameval.layers.layer import Shape
from streameval.layers.numbers import borders, pair
from streameval.models.graphs.steps import Numbers
from streameval.models.graphs.stream import Stream, short
from streameval.models.graphs.windows import dilated

# Rows that a module is traced with: a number that no side of an image and no width is likely to be.
ROWS: Final = 97
Value = Any
"""Rows on their way, numbers, or a list of them."""


def _zeros(bias: Numbers | None) -> Numbers:
    return np.zeros(()) if bias is None else bias


def _arithmetic(kind: str) -> Callable[..., Value]:
    """add, sub, mul, div: rows and a number, numbers of each channel or feature, or other rows."""

    def operate(one: Value, two: Value, *, alpha: float = 1.0) -> Value:
        if isinstance(one, Stream) and isinstance(two, Stream):
            if kind in ("add", "sub"):
                return one.plus(two, alpha if kind == "add" else -alpha)
            return one.times(two) if kind == "mul" else one.over(two)
        first = isinstance(one, Stream)
        rows, other = (one, two) if first else (two, one)
        number = _each(other, rows.shape) * (alpha if first else 1.0)
        zero = np.zeros(())
        if kind in ("mul", "div"):
            if kind == "div" and not first:
                raise ModelError("a number divided by the values.")
            return rows.scaled(1 / number if kind == "div" else number, zero)
        sign = 1.0 if kind == "add" else -1.0
        return (
            rows.scaled(np.ones(()), sign * number)
            if first
            else rows.scaled(np.asarray(sign * alpha), number)
        )

    return operate


def _each(value: Any, shape: Shape | None) -> Numbers:
    """A number, or one for each channel or value of a flat row."""
    array = np.asarray(value, np.float64)
    if array.size == 1:
        return array.reshape(())
    rank = len(shape or (0,))
    own = ((1,) * rank + array.shape)[-rank:]
    if array.size != own[0] or shape is None or own[0] != shape[0]:
        raise ModelError(f"numbers of shape {array.shape} on rows of shape {shape}.")
    return array.reshape(-1)


def _conv(
    x: Stream,
    weight: Numbers,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: Any,
    _: Any,
    groups: int,
) -> Stream:
    if transposed or weight.ndim != 4:
        raise ModelError("expected a convolution of two dimensions, not transposed.")
    weight = dilated(weight, dilation)
    return x.convolve(weight, _zeros(bias), pair(stride, "stride"), borders(padding), groups)


def _pad(x: Stream, sides: list[int], value: float = 0.0) -> Stream:
    """Sides of the last axis first, before and after it."""
    left, right, top, bottom, *rest = (*sides, 0, 0)[: max(4, len(sides))]
    if value or any(rest):
        raise ModelError(
            f"by {sides} with the value {value:.6g}, expected zeros around images: height and width."
        )
    return x.pad((top, left, bottom, right))


def _batch_norm(
    x: Stream, gamma: Any, beta: Any, mean: Numbers, variance: Numbers, _: Any, eps: float
) -> Stream:
    scale = (np.ones_like(mean) if gamma is None else gamma) / np.sqrt(variance + eps)
    return x.scaled(scale, (0.0 if beta is None else beta) - mean * scale)


def _layer_norm(x: Stream, shape: list[int], gamma: Any, beta: Any, eps: float) -> Stream:
    size = int(np.prod(shape))
    weight = np.ones(size) if gamma is None else gamma.reshape(-1)
    return x.layer(LayerNorm(weight, np.zeros(size) if beta is None else beta.reshape(-1), eps=short(eps)))


def _max_pool(
    x: Stream, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> Stream:
    if any(step != 1 for step in np.ravel(dilation)):
        raise ModelError("expected dilation 1.")
    return x.layer(MaxPool2d(kernel, stride or None, padding, ceil_mode=ceil))


def _avg_pool(
    x: Stream,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil: bool = False,
    counted: bool = True,
    by: Any = None,
) -> Stream:
    if by is not None:
        raise ModelError("expected no divisor_override.")
    return x.averaged(AvgPool2d(kernel, stride or None, padding, ceil_mode=ceil, count_include_pad=counted))


def _global(x: Stream, size: list[int]) -> Stream:
    if list(size) != [1, 1]:
        raise ModelError(f"to {size} places, expected one: adaptive pooling to more is not read.")
    return x.layer(GlobalAvgPool2d())


def _mean(x: Stream, axes: list[int], keep: bool = False) -> Stream:
    if x.shape is None or len(x.shape) != 3 or sorted(axis % 4 for axis in axes) != [2, 3]:
        raise ModelError(f"over {axes} of rows of shape {x.shape}, expected height and width.")
    pooled = x.layer(GlobalAvgPool2d())
    return pooled if keep else pooled.flatten()


def _view(x: Stream, sizes: list[int]) -> Stream:
    if len(sizes) < 2 or sizes[0] not in (-1, ROWS) or x.shape is None:
        raise ModelError(f"to {sizes}, which does not keep rows apart.")
    rest = list(sizes[1:])
    known = int(np.prod([side for side in rest if side != -1]))
    return x.reshape(tuple(int(np.prod(x.shape)) // known if side == -1 else side for side in rest))


def _permute(x: Stream, order: list[int]) -> Stream:
    if x.shape is None or order[0] != 0:
        raise ModelError(f"by {order}.")
    kept = [k for k in order[1:] if x.shape[k - 1] != 1]
    if kept != sorted(kept):
        raise ModelError(f"by {order} of rows of shape {x.shape}, which puts values in another order.")
    return x.reshape(tuple(x.shape[k - 1] for k in order[1:]))


def _clamp(x: Stream, low: float | None = None, high: float | None = None) -> Stream:
    return x.clipped(-math.inf if low is None else low, math.inf if high is None else high)


def _softmax(x: Stream, axis: int, _: bool = False) -> Stream:
    if x.shape is None or axis not in (1, -1) or len(x.shape) != 1:
        raise ModelError(f"over axis {axis} of rows of shape {x.shape}, expected all values of a flat row.")
    return x.softmax_of()


def _log(x: Stream) -> Stream:
    if not x.softmax:
        raise ModelError("expected it of softmax alone.")
    return x


def _addmm(bias: Numbers, x: Stream, weight: Numbers, *, beta: float = 1.0, alpha: float = 1.0) -> Stream:
    return x.dense(alpha * weight, beta * bias)


def _power(x: Stream, exponent: float) -> Stream:
    if exponent not in (2, 3):
        raise ModelError(f"to the power of {exponent}.")
    square = x.formula * x.formula
    return x.mapped(square if exponent == 2 else square * x.formula)


def _function(name: str) -> Callable[..., Value]:
    return lambda x: x.call(name)


def _first(value: Value, index: int) -> Value:
    """Of an operator that gives several: the first, which is the only one with a meaning here."""
    if index != 0:
        raise ModelError(f"result number {index}, expected the first.")
    return value


def _same(x: Value, *_: Any, **__: Any) -> Value:
    return x


def _gelu(x: Stream, *, approximate: str = "none") -> Stream:
    return x.call("gelu" if approximate == "none" else "gelu_tanh")


def _elu(x: Stream, alpha: float = 1.0, scale: float = 1.0, inside: float = 1.0) -> Stream:
    if inside != 1.0:
        raise ModelError(f"an input scale of {inside}.")
    return x.mapped(x.call(f"elu({short(alpha)!r})").formula.times(scale))


OPERATIONS: Final[dict[str, Callable[..., Value]]] = {
    "convolution": _conv,
    "linear": lambda x, weight, bias=None: x.dense(weight.T, _zeros(bias)),
    "addmm": _addmm,
    "mm": lambda x, weight: x.dense(weight, np.zeros(())),
    "t": lambda weight: weight.T,
    "permute": lambda x, order: x.transpose(order) if isinstance(x, np.ndarray) else _permute(x, order),
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "max_pool2d": _max_pool,
    "max_pool2d_with_indices": _max_pool,
    "constant_pad_nd": _pad,
    "avg_pool2d": _avg_pool,
    "_adaptive_avg_pool2d": _global,
    "adaptive_avg_pool2d": _global,
    "mean": _mean,
    "add": _arithmetic("add"),
    "sub": _arithmetic("sub"),
    "rsub": lambda one, two, **named: _arithmetic("sub")(two, one, **named),
    "mul": _arithmetic("mul"),
    "div": _arithmetic("div"),
    "neg": lambda x: x.mapped(x.formula.times(-1.0)),
    "pow": _power,
    "relu": _function("relu"),
    "sigmoid": _function("sigmoid"),
    "tanh": _function("tanh"),
    "erf": _function("erf"),
    "silu": _function("silu"),
    "hardswish": _function("hard_swish"),
    "hardtanh": lambda x, low=-1.0, high=1.0: _clamp(x, low, high),
    "clamp": _clamp,
    "clamp_min": lambda x, low: _clamp(x, low),
    "gelu": _gelu,
    "elu": _elu,
    "leaky_relu": lambda x, slope=0.01: x.call(f"leaky_relu({short(slope)!r})"),
    "view": _view,
    "_unsafe_view": _view,
    "reshape": _view,
    "squeeze": lambda x, axes: x.flatten(),
    "_softmax": _softmax,
    "_log_softmax": _softmax,
    "log": _log,
    "clone": _same,
    "alias": _same,
    "dropout": _same,
    "_to_copy": _same,
    "<built-in function getitem>": _first,
}
