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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import COLOUR, IMAGES, coloured
from benchmarks.layers import Average, Conv, Dense, Layer, Pool, Shape, exact_logits

ROOT = Path(__file__).resolve().parent.parent
EPS = 1e-7
# Rows of random float32 features and their classes.
FLOAT_FEATURES, FLOAT_CLASSES = 64, 4


@dataclass(frozen=True, eq=False)
class Task:
    """Rows and a network, as every contestant gets them.

    layers   the last one gives the logits
    shape    of a row, as the first layer takes it: (features,), or (channels, height, width)
    x        (n, features) uint8, multiplied by `scale`, or float32, taken as it is; C-contiguous
    t        (n,) int64 labels
    threads  how many each contestant may use
    exact    eps -> (n,) float64: the loss of each row, -log(softmax(z)_t + eps), in nats
    """

    layers: tuple[Layer, ...]
    shape: Shape
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
    layers, shape = network_of(network)
    x, t = floats(rows) if network == "floats" else pixels(rows)
    if shape == COLOUR:
        x = coloured(x)
    scale = 1.0 / 255.0 if x.dtype == np.uint8 else 1.0
    return Task(layers, shape, x, t, scale, threads, exact_losses(layers, shape, x, t, scale))


def network_of(name: str) -> tuple[tuple[Layer, ...], Shape]:
    """The layers that a workload names, and the shape of a row."""
    if name in IMAGES:
        made, shape = IMAGES[name]
        return made(), shape
    dense = NETWORKS[name]()
    return dense, (dense[0].weight.shape[0],)


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


def exact_losses(
    layers: tuple[Layer, ...], shape: Shape, x: NDArray[Any], t: NDArray[np.int64], scale: float
) -> dict[float, NDArray[np.float64]]:
    """The loss of each row in float64, for eps = 0 (exact log-softmax) and eps = 1e-7 (the article's)."""
    out = {0.0: np.empty(len(x)), EPS: np.empty(len(x))}
    # Windows of a convolution take as much memory as its kernel has places.
    step = 2000 if len(shape) == 1 else 100
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        a = x[part] / 255.0 if x.dtype == np.uint8 else x[part] * scale
        a = exact_logits(layers, a.astype(np.float64).reshape(-1, *shape))
        below = a - a.max(axis=1, keepdims=True)
        logs = (below - np.log(np.exp(below).sum(axis=1, keepdims=True)))[np.arange(len(a)), t[part]]
        out[0.0][part] = -logs
        out[EPS][part] = -np.log(np.exp(logs) + EPS)
    return out


def model(layers: tuple[Layer, ...], shape: Shape) -> Any:
    """The network as streameval's."""
    import streameval as se

    made = [_native(layer) for layer in layers]
    return se.Mlp(made) if len(shape) == 1 else se.Network(made, shape=shape)


def _native(layer: Layer) -> Any:
    import streameval as se

    if isinstance(layer, Dense):
        return se.Layer(*layer)
    if isinstance(layer, Conv):
        weight, bias, activation, padding, stride = layer
        return se.Conv2d(weight, bias, stride=stride, padding=padding, activation=activation)
    if isinstance(layer, Pool):
        return se.MaxPool2d(2) if layer.kind == "max" else se.AvgPool2d(2)
    if isinstance(layer, Average):
        return se.GlobalAvgPool2d()
    body, shortcut = ([_native(one) for one in way] for way in (layer.body, layer.shortcut))
    return se.Residual(body, shortcut, layer.activation)
