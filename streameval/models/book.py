"""The networks of "Deep Learning from Scratch" (K. Saitoh, O'Reilly Japan), known by their arrays.

Knows what the book's code does around its weights: W1, b1, W2, b2, … convolutions (outputs, channels, height, width),
dense layers (inputs, outputs). Does not know any file format.

Source: https://github.com/oreilly-japan/deep-learning-from-scratch, ch06, ch07, ch08 (MIT).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.layers import Conv2d, Dense, Dropout, MaxPool2d
from streameval.layers.activations import check_activation
from streameval.layers.layer import Layer
from streameval.models.file import Choices, Loaded

if TYPE_CHECKING:
    from streameval.models.naming import Weights

Arrays = dict[str, NDArray[Any]]

# How dropout is read when a network predicts: the factor of each of its layers.
DROPOUT: Final = {"book": 0.5, "identity": 1.0}
# Content hashes of networks whose reading is no guess: those that the book and its repository came with.
RECOGNISED: Final = frozenset(
    {
        "ae2e01e6e37eacb0b09558cd3239b1e2af2edb68d07b7b5be3b53120b2ff4b67",  # ch03, 784-50-100-10
        "41ebda8d9d07c434f35c19da4093301cf33aa7bce91a50a3b189b9f323e01cd5",  # ch07, SimpleConvNet, 2016
        "99f1e84932082a42483fa5ecbaf0a6a7ad010c296f53689b9cc1a644982fa5da",  # the same, 2022
        "57968e54a636af0d8ea5041e2d1df42e0a7e0a2518e1e5473f76f71e4224b893",  # ch08, DeepConvNet, 2016, book
        "5239405369243621b24ec578c65ac05eec0f5602960c0e53825a35f451b0710c",  # the same, identity
        "df888a512843fa3c571b5cec0f475b550d075e290f79fbd37205e34668d3ccc9",  # ch08, DeepConvNet, 2022, book
        "6a91ef692d8d358e25692aaea1b2e50e12d5a1b5c52103c9226ba8d6bbcc925e",  # the same, identity
    }
)
# The padding of DeepConvNet's six convolutions of 3 x 3, as its constructor has it.
PADDING: Final = (1, 1, 1, 2, 1, 1)
# ch06, MultiLayerNetExtend: BatchNormalization adds 10e-7 to the running variance.
EPS: Final = 1e-6

_NAME: Final = re.compile(r"(?:.*[./])?(W|b|gamma|beta|running_mean|running_var)_?(\d{1,9})")


def recognise(weights: Weights, choices: Choices) -> Loaded | None:
    """Return the network if its arrays are named as the book's and it is no plain chain of dense layers, else None.

    Raises:
        ModelError: convolutions or batch normalisation as in the book, but of a network that is not in it, or that
            leaves open what has to be said.
    """
    parts = _numbered(weights.arrays)
    if parts is None:
        return None
    kinds = {name: [array for _, array in sorted(by_number.items())] for name, by_number in parts.items()}
    ranks = [array.ndim for array in kinds.get("W", [])]
    if set(kinds) <= {"W", "b"} and 4 not in ranks:
        return None
    if set(kinds) > {"W", "b"}:
        return _normalised(parts, weights, choices)
    if not _has_biases(kinds):
        raise ModelError(
            "convolutions without one bias W1, b1 each, expected weights and biases as in the book."
        )
    if ranks == [4, 2, 2]:
        return _simple(kinds["W"], kinds["b"])
    if ranks == [4] * 6 + [2, 2] and all(array.shape[2:] == (3, 3) for array in kinds["W"][:6]):
        return _deep(kinds["W"], kinds["b"], choices)
    shapes = ", ".join(str(array.shape) for array in kinds["W"][:8])
    raise ModelError(
        f"convolutions W1, b1, … of shapes {shapes}: of networks with such names the book's SimpleConvNet (one "
        "convolution, two dense layers) and DeepConvNet (six of 3 x 3, two) are read, for their files do not say "
        "strides, padding and pooling. Save the network as ONNX, or as safetensors with an architecture."
    )


def _numbered(arrays: Arrays) -> dict[str, dict[int, NDArray[Any]]] | None:
    """The arrays by kind and number, None if any is named otherwise."""
    parts: dict[str, dict[int, NDArray[Any]]] = {}
    for name, array in arrays.items():
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        by_number = parts.setdefault(match[1], {})
        if int(match[2]) in by_number:
            return None
        by_number[int(match[2])] = array
    return parts


def _has_biases(kinds: dict[str, list[NDArray[Any]]]) -> bool:
    """Whether every weight has its bias, of as many numbers as it has outputs."""
    weights, biases = kinds.get("W", []), kinds.get("b", [])
    return len(weights) == len(biases) and all(
        bias.shape == (weight.shape[0 if weight.ndim == 4 else 1],)
        and weight.dtype.kind == bias.dtype.kind == "f"
        for weight, bias in zip(weights, biases, strict=True)
    )


def _simple(weights: list[NDArray[Any]], biases: list[NDArray[Any]]) -> Loaded:
    """ch07, SimpleConvNet: conv, relu, pool 2 x 2, dense, relu, dense; no padding, stride 1."""
    filters, channels, height, width = weights[0].shape
    side = math.isqrt(weights[1].shape[0] // max(filters, 1))
    if height != width or filters * side * side != weights[1].shape[0] or side == 0:
        raise ModelError(
            f"a convolution {weights[0].shape} before a dense layer {weights[1].shape}: no square image gives that "
            "many values in the book's SimpleConvNet (no padding, pooling 2 x 2). Save the network as ONNX."
        )
    image = 2 * side + height - 1
    said = (
        f"read as the book's SimpleConvNet on images of {image} x {image}: convolution without padding, relu, max "
        "pooling 2 x 2, dense, relu, dense."
    )
    layers: list[Layer] = [
        Conv2d(weights[0], biases[0], activation="relu"),
        MaxPool2d(2),
        Dense(weights[1], biases[1], "relu"),
        Dense(weights[2], biases[2], "identity"),
    ]
    return Loaded(layers, [said], (channels, image, image), guessed=said)


def _deep(weights: list[NDArray[Any]], biases: list[NDArray[Any]], choices: Choices) -> Loaded:
    """ch08, DeepConvNet: three times two convolutions and pooling, then dense, dropout, dense, dropout."""
    filters, channels = weights[5].shape[0], weights[0].shape[1]
    side = math.isqrt(weights[6].shape[0] // max(filters, 1))
    if filters * side * side != weights[6].shape[0] or side == 0:
        raise ModelError(
            f"six convolutions, the last {weights[5].shape}, before a dense layer {weights[6].shape}: no square image "
            "gives that many values in the book's DeepConvNet. Save the network as ONNX."
        )
    if choices.dropout is None:
        raise ModelError(
            "it looks like the book's DeepConvNet, whose code multiplies by 0.5 at its two dropouts when it predicts, "
            "the second time on the logits (book); dropout as it is usual today does nothing then (identity), and the "
            "published accuracy is that one's. Say which: --dropout book or --dropout identity (library: "
            'load_model(path, dropout="book")).'
        )
    image = 8 * side - 4
    factor = DROPOUT[choices.dropout]
    layers: list[Layer] = []
    for k, padding in enumerate(PADDING):
        layers.append(Conv2d(weights[k], biases[k], padding=padding, activation="relu"))
        if k % 2:
            layers.append(MaxPool2d(2))
    dropout = [] if factor == 1.0 else [Dropout(factor)]
    layers += [
        Dense(weights[6], biases[6], "relu"),
        *dropout,
        Dense(weights[7], biases[7], "identity"),
        *dropout,
    ]
    said = (
        f"read as the book's DeepConvNet on images of {image} x {image}: convolutions of 3 x 3 with padding 1, 1, 1, "
        "2, 1, 1 and relu, max pooling 2 x 2 after every second one."
    )
    dropped = f"dropout: {choices.dropout}, as asked for: " + (
        "the values after the first dense layer and the logits are multiplied by 0.5."
        if dropout
        else "it does nothing when the network predicts."
    )
    return Loaded(layers, [said, dropped], (channels, image, image), guessed=said, dropout=choices.dropout)


def _normalised(parts: dict[str, dict[int, NDArray[Any]]], weights: Weights, choices: Choices) -> Loaded:
    """ch06, MultiLayerNetExtend with batch normalisation: dense, normalised, activation, …, dense."""
    numbers = sorted(parts.get("W", {}))
    normal = ("gamma", "beta", "running_mean", "running_var")
    if "running_mean" not in parts or "running_var" not in parts:
        raise ModelError(
            "gamma and beta of batch normalisation without the running mean and variance, which predictions need: the "
            "book's code keeps them in its layers. Save them beside the others, as running_mean1, running_var1, …: "
            "network.layers['BatchNorm1'].running_mean and .running_var."
        )
    if any(sorted(parts.get(name, {})) != numbers[:-1] for name in normal) or not numbers:
        raise ModelError(
            "batch normalisation as in the book, expected W, b for each layer, and gamma, beta, running_mean and "
            "running_var for each but the last."
        )
    if not _has_biases({name: [by[k] for k in sorted(by)] for name, by in parts.items()}):
        raise ModelError(
            "expected one bias for each weight of a dense layer (inputs, outputs), floating point."
        )
    if choices.activation is None or not isinstance(choices.activation, str):
        raise ModelError(
            "batch normalisation as in the book, and nothing that says the activation behind it. Say the one that the "
            "network was trained with: --activation relu or --activation sigmoid."
        )
    activation = check_activation(choices.activation)
    layers: list[Layer] = []
    for number in numbers[:-1]:
        layers += _dense_normalised(parts, number, activation)
    last = numbers[-1]
    layers.append(Dense(parts["W"][last], parts["b"][last], "identity"))
    said = f"read as the book's networks with batch normalisation: dense, normalised (eps {EPS:g}), {activation}."
    return Loaded(layers, [said, "activations: as asked for."])


def _dense_normalised(parts: dict[str, dict[int, NDArray[Any]]], number: int, activation: str) -> list[Layer]:
    """A dense layer with the normalisation that follows it in its weights."""
    weight, bias, gamma, beta, mean, variance = (
        parts[name][number].astype(np.float64)
        for name in ("W", "b", "gamma", "beta", "running_mean", "running_var")
    )
    outputs = weight.shape[1:]
    if not gamma.shape == beta.shape == mean.shape == variance.shape == outputs:
        raise ModelError(
            f"layer {number}: a weight {weight.shape}, but normalisation by {gamma.shape}, {beta.shape}, {mean.shape} "
            f"and {variance.shape} numbers: expected {outputs} each."
        )
    if (variance + EPS <= 0.0).any():
        raise ModelError(f"running_var{number}: {variance.min():.6g}, expected no variance below 0.")
    scale = gamma / np.sqrt(variance + EPS)
    return [Dense(weight * scale, (bias - mean) * scale + beta, activation)]
