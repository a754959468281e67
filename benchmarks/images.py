"""Small convolutional networks with random weights of a fixed seed, and the images that they see.

Knows architectures. Does not know who computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.layers import Average, Branches, Conv, Dense, Layer, Pool, Shape

GREY: Shape = (1, 28, 28)
COLOUR: Shape = (3, 32, 32)


class _Weights:
    """Normal weights of variance gain / inputs (He et al. 2015 for relu), and small biases."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def _of(self, shape: tuple[int, ...], inputs: int, activation: str) -> NDArray[np.float32]:
        gain = 2.0 if activation == "relu" else 1.0
        return (self.random.standard_normal(shape) * np.sqrt(gain / inputs)).astype(np.float32)

    def _bias(self, outputs: int) -> NDArray[np.float32]:
        return (0.1 * self.random.standard_normal(outputs)).astype(np.float32)

    def conv(
        self,
        inputs: int,
        outputs: int,
        side: int,
        activation: str = "relu",
        padding: int = 0,
        stride: int = 1,
    ) -> Conv:
        weight = self._of((outputs, inputs, side, side), inputs * side * side, activation)
        return Conv(weight, self._bias(outputs), activation, padding, stride)

    def dense(self, inputs: int, outputs: int, activation: str = "identity") -> Dense:
        return Dense(self._of((inputs, outputs), inputs, activation), self._bias(outputs), activation)


def lenet() -> tuple[Layer, ...]:
    """LeNet-5 as it is taught today: tanh, average pooling (LeCun et al. 1998, figure 2, without its sparse table)."""
    new = _Weights(11)
    return (
        new.conv(1, 6, 5, "tanh", padding=2),
        Pool("mean"),
        new.conv(6, 16, 5, "tanh"),
        Pool("mean"),
        new.dense(400, 120, "tanh"),
        new.dense(120, 84, "tanh"),
        new.dense(84, 10),
    )


def simpleconv() -> tuple[Layer, ...]:
    """SimpleConvNet of "Deep Learning from Scratch", chapter 7."""
    new = _Weights(12)
    return new.conv(1, 30, 5), Pool("max"), new.dense(4320, 100, "relu"), new.dense(100, 10)


def pytorch_mnist() -> tuple[Layer, ...]:
    """The network of PyTorch's MNIST example."""
    new = _Weights(13)
    return (
        new.conv(1, 32, 3),
        new.conv(32, 64, 3),
        Pool("max"),
        new.dense(9216, 128, "relu"),
        new.dense(128, 10),
    )


def deepconv() -> tuple[Layer, ...]:
    """DeepConvNet of "Deep Learning from Scratch", chapter 8, dropout left out."""
    new = _Weights(14)
    layers: list[Layer] = []
    for inputs, outputs, paddings in ((1, 16, (1, 1)), (16, 32, (1, 2)), (32, 64, (1, 1))):
        layers += [
            new.conv(inputs, outputs, 3, padding=paddings[0]),
            new.conv(outputs, outputs, 3, padding=paddings[1]),
        ]
        layers.append(Pool("max"))
    return (*layers, new.dense(1024, 50, "relu"), new.dense(50, 10))


def resnet8() -> tuple[Layer, ...]:
    """ResNet-8 of MLPerf Tiny, normalisation folded into the convolutions before it."""
    new = _Weights(15)
    layers: list[Layer] = [new.conv(3, 16, 3, padding=1)]
    inputs = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        body = (
            new.conv(inputs, outputs, 3, padding=1, stride=stride),
            new.conv(outputs, outputs, 3, "identity", padding=1),
        )
        shortcut = () if stride == 1 else (new.conv(inputs, outputs, 1, "identity", stride=stride),)
        layers.append(Branches(body, shortcut, "relu"))
        inputs = outputs
    return (*layers, Average(), new.dense(64, 10))


IMAGES: dict[str, tuple[Callable[[], tuple[Layer, ...]], Shape]] = {
    "lenet": (lenet, GREY),
    "simpleconv": (simpleconv, GREY),
    "pytorch-mnist": (pytorch_mnist, GREY),
    "deepconv": (deepconv, GREY),
    "resnet8": (resnet8, COLOUR),
}


def coloured(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 784) -> (n, 3072): each image of 28 x 28 on a noisy ground of 3 x 32 x 32, brighter in one channel."""
    random = np.random.default_rng(16)
    out: NDArray[Any] = random.integers(1, 64, (len(grey), *COLOUR), dtype=np.uint8)
    image = grey.reshape(-1, 28, 28)
    for channel, share in enumerate((1, 2, 4)):
        out[:, channel, 2:30, 2:30] += image // share // 2
    return out.reshape(len(grey), -1)
