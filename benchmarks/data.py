"""What is evaluated: rows, networks, and the exact loss of each row in float64.

Knows where real MNIST may lie and how random networks are made. Does not know who evaluates them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
EPS = 1e-7
# Rows of random float32 features and their classes.
FLOAT_FEATURES, FLOAT_CLASSES = 64, 4


class Dense(NamedTuple):
    """One layer: activation(x @ weight + bias); weight (inputs, outputs), bias (outputs,), float32."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str


@dataclass(frozen=True, eq=False)
class Task:
    """Rows and a network, as every contestant gets them.

    layers   the last one gives the logits
    x        (n, features) uint8, multiplied by `scale`, or float32, taken as it is; C-contiguous
    t        (n,) int64 labels
    threads  how many each contestant may use
    exact    eps -> (n,) float64: the loss of each row, -log(softmax(z)_t + eps), in nats
    """

    layers: tuple[Dense, ...]
    x: NDArray[Any]
    t: NDArray[np.int64]
    scale: float
    threads: int
    exact: dict[float, NDArray[np.float64]]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.x)


def task(network: str, rows: int, threads: int) -> Task:
    """The rows and the network that a workload names (a row of NETWORKS), with exact losses."""
    layers = NETWORKS[network]()
    x, t = floats(rows) if network == "floats" else pixels(rows)
    scale = 1.0 / 255.0 if x.dtype == np.uint8 else 1.0
    return Task(layers, x, t, scale, threads, exact_losses(layers, x, t, scale))


def mnist_folder() -> Path | None:
    """The folder of the real MNIST files and the article's network, or None: STREAMEVAL_MNIST says where."""
    for place in (os.environ.get("STREAMEVAL_MNIST"), ROOT.parent / "shared" / "data"):
        if place and (Path(place) / "train-images-idx3-ubyte.gz").is_file():
            return Path(place)
    return None


def pixels_are() -> str:
    """What the uint8 rows are, for people."""
    return "MNIST's training rows" if mnist_folder() else "drawn digits (real MNIST was not at hand)"


def seed_model_path() -> Path:
    """The weight file of the seed workload: the article's network for MNIST, the demo's for drawn digits."""
    from streameval.datasets.digits import demo_network_path

    folder = mnist_folder()
    return folder / "sample_weight.pkl" if folder else demo_network_path()


def pixels(rows: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(rows, 784) uint8 and (rows,) labels: the first rows of MNIST, or drawn digits."""
    x, t = _pixels()
    return np.ascontiguousarray(x[:rows]), np.ascontiguousarray(t[:rows])


@functools.cache
def _pixels() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    import streameval as se
    from streameval.datasets import digits

    folder = mnist_folder()
    if folder:
        (x, t), _ = se.load_mnist(normalize=False, root=folder)
        return x, t.astype(np.int64)
    drawn, labels = digits.draw(0, 60_000, seed=1)
    return drawn.reshape(60_000, -1), labels


def floats(rows: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(rows, 64) float32 normal numbers and (rows,) labels in 0..3."""
    random = np.random.default_rng(4)
    x = random.standard_normal((rows, FLOAT_FEATURES), np.float32)
    return x, random.integers(0, FLOAT_CLASSES, rows)


def seed_network() -> tuple[Dense, ...]:
    """784-50-100-10, sigmoid."""
    import streameval as se

    model = se.load_model(seed_model_path())
    return tuple(Dense(one.weight, one.bias, one.activation) for one in model.layers)


def random_network(sizes: tuple[int, ...], activation: str, seed: int) -> tuple[Dense, ...]:
    """Normal weights of variance 2 / inputs for ReLU (He et al. 2015), 2 / (inputs + outputs) otherwise
    (Glorot & Bengio 2010), and small biases."""
    random = np.random.default_rng(seed)
    layers = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        variance = 2.0 / inputs if activation == "relu" else 2.0 / (inputs + outputs)
        weight = (random.standard_normal((inputs, outputs)) * np.sqrt(variance)).astype(np.float32)
        bias = (0.1 * random.standard_normal(outputs)).astype(np.float32)
        layers.append(Dense(weight, bias, activation if number < len(sizes) - 1 else "identity"))
    return tuple(layers)


NETWORKS: dict[str, Callable[[], tuple[Dense, ...]]] = {
    "seed": seed_network,
    "relu": lambda: random_network((784, 512, 256, 10), "relu", 1),
    "tanh": lambda: random_network((784, 128, 128, 128, 128, 128, 128, 10), "tanh", 2),
    "floats": lambda: random_network((FLOAT_FEATURES, 256, 256, FLOAT_CLASSES), "relu", 3),
}

_ACTIVATIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
}


def exact_losses(
    layers: tuple[Dense, ...], x: NDArray[Any], t: NDArray[np.int64], scale: float
) -> dict[float, NDArray[np.float64]]:
    """The loss of each row in float64, for eps = 0 (exact log-softmax) and eps = 1e-7 (the article's)."""
    out = {0.0: np.empty(len(x)), EPS: np.empty(len(x))}
    for start in range(0, len(x), 2000):
        part = slice(start, start + 2000)
        a = x[part] / 255.0 if x.dtype == np.uint8 else x[part] * scale
        a = a.astype(np.float64)
        for weight, bias, activation in layers:
            a = _ACTIVATIONS[activation](a @ weight.astype(np.float64) + bias.astype(np.float64))
        below = a - a.max(axis=1, keepdims=True)
        logs = (below - np.log(np.exp(below).sum(axis=1, keepdims=True)))[np.arange(len(a)), t[part]]
        out[0.0][part] = -logs
        out[EPS][part] = -np.log(np.exp(logs) + EPS)
    return out


def model(layers: tuple[Dense, ...]) -> Any:
    """The network as streameval's."""
    import streameval as se

    return se.Mlp([se.Layer(*layer) for layer in layers])


def dense_flops(layers: tuple[Dense, ...]) -> int:
    """Floating point operations of one row, nothing skipped: two for each weight."""
    return 2 * sum(layer.weight.size for layer in layers)
