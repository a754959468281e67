"""The obvious version of every formula, in float64 NumPy or exact fractions. Imports nothing of the package.

A network is a list of layers (weight (inputs, outputs), bias (outputs,), name of the activation).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from scipy import special

UNIT = 2.0**-24  # half an ulp of a float32 in [1, 2): what one rounding costs
UNITS = 2**40


class Layer(NamedTuple):
    weight: np.ndarray
    bias: np.ndarray
    activation: str


# --- data ---


def normalised(x: Any, scale: float, mean: Any, std: Any) -> Any:
    """(x * scale - mean) / std of rows (n, ...), mean and std broadcast: in float64, rounded to float32 once."""
    return (
        (np.asarray(x, np.float64) * scale - np.asarray(mean, np.float64)) / np.asarray(std, np.float64)
    ).astype(np.float32)


# --- activations: float64 in, float64 out ---


def identity(x: np.ndarray) -> np.ndarray:
    return x


def sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def relu(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0.0, 0.0, x)


def tanh(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


def leaky_relu(x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    return np.where(x < 0.0, slope * x, x)


def gelu(x: np.ndarray) -> np.ndarray:
    """x Phi(x); Phi(x) = erfc(-x / sqrt(2)) / 2 keeps its digits in the left tail."""
    return x * (0.5 * special.erfc(-x / math.sqrt(2.0)))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x < 0.0, alpha * (np.expm1(np.minimum(x, 0.0))), x)


def hard_swish(x: np.ndarray) -> np.ndarray:
    return x * (relu6(x + 3.0) / 6.0)


def relu6(x: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, 0.0), 6.0)


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """x (1 + tanh u) / 2 = x sigmoid(2 u), which keeps its digits in the left tail."""
    with np.errstate(over="ignore"):
        return x * sigmoid(2.0 * math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))


ACTIVATIONS: dict[str, Callable[..., np.ndarray]] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "relu": relu,
    "tanh": tanh,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "softplus": softplus,
    "silu": silu,
    "elu": elu,
    "hard_swish": hard_swish,
    "relu6": relu6,
    "gelu_tanh": gelu_tanh,
}
# The steepest slope of each: how much larger an error can leave than it came in.
SLOPES = {
    "identity": 1.0,
    "sigmoid": 0.25,
    "relu": 1.0,
    "tanh": 1.0,
    "leaky_relu": 1.0,
    "gelu": 1.13,
    "softplus": 1.0,
    "silu": 1.1,
    "elu": 1.0,
    "hard_swish": 1.5,
    "relu6": 1.0,
    "gelu_tanh": 1.13,
}


# --- networks and losses ---


def logits(layers: Sequence[Layer], x: np.ndarray) -> np.ndarray:
    """(n, features) as the network sees them -> (n, classes) float64."""
    a = np.asarray(x, np.float64)
    for weight, bias, activation in layers:
        a = ACTIVATIONS[activation](a @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64))
    return a


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def log_softmax(z: np.ndarray) -> np.ndarray:
    below = z - z.max(axis=1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=1, keepdims=True))


def cross_entropy(z: np.ndarray, t: np.ndarray, eps: float) -> np.ndarray:
    """One loss a row, nats: -sum_k t_k log(y_k + eps); eps = 0: exact, from the logits.

    t (n,) or (n, classes)
    """
    logs = np.log(softmax(z) + eps) if eps > 0 else log_softmax(z)
    if np.ndim(t) == 1:
        return -logs[np.arange(len(z)), t]
    return -np.sum(np.where(t == 0, 0.0, t * logs), axis=1)


def smoothed(t: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """Targets (n, classes) of labels (n,) or rows: (1 - s) t_k + s / classes."""
    rows = np.eye(classes)[t] if np.ndim(t) == 1 else t
    return (1.0 - smoothing) * rows + smoothing / classes


def binary_cross_entropy(z: np.ndarray, t: np.ndarray, pos_weight: Any = 1.0) -> np.ndarray:
    """One loss a row (n,), nats: the mean over labels (n, k) of -p t log(y) - (1 - t) log(1 - y), y = sigmoid(z)."""
    positive, negative = softplus(-z), softplus(z)  # -log(y) and -log(1 - y)
    return np.mean(np.asarray(pos_weight) * t * positive + (1.0 - t) * negative, axis=1)


def squared(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """One loss a row: the mean over outputs (n, k)."""
    return np.mean((z - t) ** 2, axis=1)


def absolute(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.mean(np.abs(z - t), axis=1)


def huber(z: np.ndarray, t: np.ndarray, delta: float) -> np.ndarray:
    gap = np.abs(z - t)
    return np.mean(np.where(gap <= delta, gap**2 / 2, delta * (gap - delta / 2)), axis=1)


def losses(layers: Sequence[Layer], x: np.ndarray, t: np.ndarray, eps: float = 1e-7) -> np.ndarray:
    return cross_entropy(logits(layers, x), t, eps)


def predicted(layers: Sequence[Layer], x: np.ndarray) -> np.ndarray:
    return np.argmax(logits(layers, x), axis=1)


def one_hot(t: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[t]


def logit_error(layers: Sequence[Layer], x: np.ndarray, *, from_bytes: bool) -> np.ndarray:
    """How far a float32 forward pass may be from `logits`, at most: (n,), one bound for all classes of a row.

    A sum of n products is rounded n + 1 times, each time by u = 2**-24 of at most |a| |W| + |b|; an
    activation adds 2 ulp, and passes an error on times its slope. Where the rows are bytes, the first layer
    rounds its sum once, and each of its weights to 24 bits of its column's largest.
    """
    a = np.asarray(x, np.float64)
    error = np.zeros_like(a)
    for i, (weight, bias, activation) in enumerate(layers):
        w, b = np.abs(np.asarray(weight, np.float64)), np.abs(np.asarray(bias, np.float64))
        size = np.abs(a) @ w + b
        if i == 0 and from_bytes:
            grown = UNIT * size + np.abs(a).sum(axis=1, keepdims=True) * w.max(axis=0) * UNIT
        else:
            # One rounding more where a scale was folded into the weights.
            grown = error @ w * (1 + 1e-5) + (len(w) + 2) * UNIT * size
        before = a @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
        a = ACTIVATIONS[activation](before)
        error = SLOPES[activation] * grown + 4 * UNIT * np.abs(a) + 1e-37
    return error.max(axis=1)


# --- layers on images: float64 (n, channels, height, width) in and out, one loop for each index ---


def padded(x: np.ndarray, top: int, left: int, bottom: int, right: int, fill: float = 0.0) -> np.ndarray:
    n, channels, height, width = x.shape
    out = np.full((n, channels, top + height + bottom, left + width + right), fill)
    out[:, :, top : top + height, left : left + width] = x
    return out


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
) -> np.ndarray:
    """out[o, y, x] = bias[o] + the sum of a window of the channels of o's group times weight[o]."""
    outputs, channels, tall, wide = weight.shape
    a = padded(np.asarray(x, np.float64), *padding)
    down, across = (a.shape[2] - tall) // stride[0] + 1, (a.shape[3] - wide) // stride[1] + 1
    out = np.empty((len(a), outputs, down, across))
    for o in range(outputs):
        first = o // (outputs // groups) * channels
        for i in range(down):
            for j in range(across):
                y, z = i * stride[0], j * stride[1]
                window = a[:, first : first + channels, y : y + tall, z : z + wide]
                out[:, o, i, j] = float(bias[o]) + (window * weight[o].astype(np.float64)).sum(axis=(1, 2, 3))
    return out


def pool2d(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    what: Callable[[np.ndarray], np.ndarray],
    *,
    ceil: bool = False,
    pad: bool = False,
) -> np.ndarray:
    """`what` of the values of each window as (n, channels, values), with zeros where it is padded if `pad`.

    With ceil a window may end outside, but begins in the image or in the border before it.
    """
    top, left = padding[:2]
    n, channels, height, width = x.shape
    a = padded(x, *padding, fill=0.0 if pad else math.nan)
    sizes = []
    for size, own, k, s, before in (
        (a.shape[2], height, kernel[0], stride[0], top),
        (a.shape[3], width, kernel[1], stride[1], left),
    ):
        starts = [at for at in range(0, size, s) if at + k <= size or (ceil and at < before + own)]
        if ceil:  # the first that reaches over the end is the last
            over = [at for at in starts if at + k >= size]
            starts = [at for at in starts if not over or at <= over[0]]
        sizes.append(starts)
    out = np.empty((n, channels, len(sizes[0]), len(sizes[1])))
    for i, y in enumerate(sizes[0]):
        for j, z in enumerate(sizes[1]):
            window = a[:, :, y : y + kernel[0], z : z + kernel[1]].reshape(n, channels, -1)
            keep = ~np.isnan(window[0, 0])
            out[:, :, i, j] = what(window[:, :, keep])
    return out


def max_pool2d(x, kernel, stride, padding=(0, 0, 0, 0), *, ceil=False):
    return pool2d(x, kernel, stride, padding, lambda w: w.max(axis=2), ceil=ceil)


def avg_pool2d(x, kernel, stride, padding=(0, 0, 0, 0), *, ceil=False, pad=True):
    return pool2d(x, kernel, stride, padding, lambda w: w.mean(axis=2), ceil=ceil, pad=pad)


def batch_norm(x, gamma, beta, mean, variance, eps):
    """gamma (x - mean) / sqrt(variance + eps) + beta for each channel, the second axis."""
    out = np.empty(x.shape)
    for c in range(x.shape[1]):
        out[:, c] = gamma[c] * (x[:, c] - mean[c]) / math.sqrt(variance[c] + eps) + beta[c]
    return out


def layer_norm(x, gamma, beta, eps):
    """The same with mean and variance of each row's own values: (n, features)."""
    mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + eps) + beta


# --- what a pass over many rows comes to ---


def quantised(loss: Iterable[float]) -> list[int]:
    """rint(loss * 2**40), halves to even: exact."""
    return [round(Fraction(float(value)) * UNITS) for value in loss]


def moments(values: Iterable[float]) -> tuple[int, Fraction, Fraction]:
    """Count, mean and summed squared deviation, exactly."""
    exact = [Fraction(float(value)) for value in values]
    mean = sum(exact, Fraction(0)) / max(len(exact), 1)
    return len(exact), mean, sum(((value - mean) ** 2 for value in exact), Fraction(0))


def sums(loss: Iterable[float]) -> tuple[int, int]:
    """Sum and sum of squares of the quantised losses."""
    units = quantised(loss)
    return sum(units), sum(q * q for q in units)


def per_class(
    loss: np.ndarray, target: np.ndarray, guess: np.ndarray, classes: int
) -> list[tuple[int, int, int]]:
    """For each true class: rows, predicted right, sum of the quantised losses."""
    out = []
    for k in range(classes):
        mine = [i for i in range(len(loss)) if target[i] == k]
        out.append((len(mine), sum(int(guess[i] == k) for i in mine), sums(loss[mine])[0]))
    return out


def confusion(target: np.ndarray, guess: np.ndarray, classes: int) -> list[list[int]]:
    """Rows by true (first) and predicted class."""
    out = [[0] * classes for _ in range(classes)]
    for true, found in zip(target, guess, strict=True):
        out[true][found] += 1
    return out


def worst(loss: Iterable[float], rows: Iterable[int], count: int = 10) -> list[tuple[float, int]]:
    """(loss, row) of the largest losses, equal ones by row number."""
    pairs = [(float(value), int(row)) for value, row in zip(loss, rows, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:count]


# --- the article ---


def cross_entropy_error(y: np.ndarray, t: np.ndarray) -> float:
    """As the article writes it, both versions: one-hot where t has the size of y, else integer labels."""
    if y.ndim == 1:
        t = t.reshape(1, t.size)
        y = y.reshape(1, y.size)
    if t.size == y.size:
        return float(-np.sum(t * np.log(y + 1e-7)) / y.shape[0])
    return float(-np.sum(np.log(y[np.arange(y.shape[0]), t.reshape(-1)] + 1e-7)) / y.shape[0])


# --- one loop each: what the vector instructions of kernels/lanes.py, dense.py, rows.py and bytes_*.py do ---


def fma_f32(a: Any, b: Any, c: Any) -> np.ndarray:
    """a * b + c for float32, rounded once.

    The product is exact in float64. The sum is rounded to odd: where something was cut off, the last bit
    is 1. So it is never halfway between two float32, unless exactly, and rounding it again is rounding once.
    """
    product = np.float64(np.float32(a)) * np.float64(np.float32(b))
    addend = np.broadcast_to(np.asarray(c, np.float32).astype(np.float64), np.shape(product + c))
    total = product + addend
    # Knuth's two-sum: what the addition lost.
    back = total - product
    lost = (product - (total - back)) + (addend - back)
    even = (total.view(np.int64) & 1) == 0
    nudged = np.nextafter(total, np.where(lost > 0, np.inf, -np.inf))
    return np.where((lost != 0) & even & np.isfinite(total), nudged, total).astype(np.float32)


def dense_f32(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A dense layer in float32: from the bias on, input by input in order, one fma each. (n, outputs)."""
    total = np.broadcast_to(bias.astype(np.float32), (len(x), len(bias))).copy()
    for k in range(weight.shape[0]):
        total = fma_f32(x[:, k : k + 1], weight[k], total)
    return total


def dense_block(sums_: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sums (outputs, lanes) + rows (inputs, lanes), weights (inputs, outputs), in the order of the inputs."""
    total = sums_.copy()
    for k in range(len(rows)):
        total = fma_f32(rows[k][None, :], weights[k][:, None], total)
    return total


def column_integers(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights as integers of 24 bits and the factor of each column: weight = integers * factor, nearly."""
    w = weight.astype(np.float64)
    largest = np.abs(w).max(axis=0)
    factor = np.where(largest > 0, largest / (127 * 65536), 1.0)
    return np.rint(w / factor).astype(np.int64), factor


def byte_planes(integers: np.ndarray) -> list[np.ndarray]:
    """Integers as three digits in -128..127, least first: p0 + 256 p1 + 65536 p2."""
    digits, rest = [], integers.copy()
    for _ in range(2):
        digit = (rest + 128) % 256 - 128
        digits.append(digit)
        rest = (rest - digit) // 256
    return [*digits, rest]


def bytes_layer(pixels: np.ndarray, weight: np.ndarray, bias: np.ndarray, scale: float) -> np.ndarray:
    """The first layer for bytes: (n, outputs) float32.

    An exact integer sum, scaled and the bias added with one rounding to float64, then rounded to float32.
    """
    integers, factor = column_integers(weight)
    exact = pixels.astype(object) @ integers.astype(object)
    out = np.empty(exact.shape, np.float32)
    for (i, j), total in np.ndenumerate(exact):
        out[i, j] = np.float32(
            float(Fraction(int(total)) * Fraction(float(factor[j] * scale)) + Fraction(float(bias[j])))
        )
    return out


def list_groups(a: np.ndarray, b: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """Numbers of the groups of four bytes that are not all zero in both rows, in a only, in b only."""
    in_a, in_b = ([bool(row[4 * g : 4 * g + 4].any()) for g in range(len(row) // 4)] for row in (a, b))
    wanted = ((True, True), (True, False), (False, True))
    both, first, second = (
        [g for g, pair in enumerate(zip(in_a, in_b, strict=True)) if pair == kind] for kind in wanted
    )
    return both, first, second


def byte_block(row: np.ndarray, groups: Iterable[int], planes: np.ndarray) -> np.ndarray:
    """Sums over the listed groups of four bytes times int8 planes (groups, lanes, 4), exact: (lanes,)."""
    total = np.zeros(planes.shape[1], np.int64)
    for g in groups:
        total += (planes[g].astype(np.int64) * row[4 * g : 4 * g + 4].astype(np.int64)).sum(axis=1)
    return total


def transpose_rows(values: np.ndarray, offsets: Sequence[int], column: int, limit: int) -> np.ndarray:
    """out[c, r] = values[offsets[r] + column + c] for sixteen columns; zero at and past column `limit`."""
    out = np.zeros((16, len(offsets)), np.float32)
    for c in range(min(16, limit - column)):
        for r, at in enumerate(offsets):
            out[c, r] = values[at + column + c]
    return out


def power_of_two(n: int) -> float:
    return math.ldexp(1.0, n)


def split_exponent(x: float) -> tuple[float, int]:
    """(m, e) with x = m 2**e and sqrt(1/2) <= m < sqrt(2)."""
    m, e = math.frexp(x)  # 1/2 <= m < 1
    return (m, e) if m >= math.sqrt(0.5) else (2 * m, e - 1)
