"""What the fuzzers of weight formats share: a small network, and the same from arrays by their names alone."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np

import streameval as se
from streameval.errors import ModelError, StorageError
from tests.fuzz.target import content_hash

REFUSALS = (ModelError, StorageError)
RNG = np.random.default_rng(2)
ARRAYS = {
    "W1": RNG.normal(size=(16, 8)).astype(np.float32),
    "b1": RNG.normal(size=8).astype(np.float32),
    "W2": RNG.normal(size=(8, 3)).astype(np.float32),
    "b2": RNG.normal(size=3).astype(np.float32),
}
ACTIVATIONS = ("relu", "identity")
NAME = re.compile(r"([WwBb])_?(\d+)")


def image_network() -> se.Network:
    """Return a network with a convolution, a pooling, a normalisation and a branch, of 16 values and 3 classes."""
    rng = np.random.default_rng(4)
    body = [se.Conv2d(rng.normal(size=(2, 2, 3, 3)), padding=1, activation="relu")]
    return se.Network(
        [
            se.Conv2d(rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2), padding=1, activation="relu"),
            se.Residual(body),
            se.MaxPool2d(2),
            se.Flatten(),
            se.Dense(rng.normal(size=(8, 3)), rng.normal(size=3), "identity"),
        ],
        shape=(1, 4, 4),
    )


def content(layers: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Return what tells networks apart: float32 (inputs, outputs) and (outputs,) of each layer."""
    parts = []
    for weight, bias in layers:
        parts += [
            str(weight.shape).encode(),
            *(np.ascontiguousarray(one, np.float32).tobytes() for one in (weight, bias)),
        ]
    return content_hash(parts)


def read(path: Path, rng: Random, activation: str | None = "relu") -> bytes:
    """Load a network and return its numbers."""
    model = se.load_model(path, activation=activation, allow_nonfinite=rng.random() < 0.3)
    arrays = [list(layer.arrays().values()) for layer in model.layers]
    return content([(pair[0], pair[1]) for pair in arrays if len(pair) == 2])


def by_names(arrays: dict[str, np.ndarray]) -> bytes | None:
    """Return the content of a network whose arrays are named W1, b1, W2, b2…; None where the names are others."""
    found: dict[int, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        match = NAME.fullmatch(name)
        if match is None:
            return None
        found.setdefault(int(match[2]), {})[match[1].lower()] = np.asarray(array)
    numbers = sorted(found)
    if any("w" not in found[number] for number in numbers):
        return None
    weights = [found[number]["w"] for number in numbers]
    if any(one.shape[1] != two.shape[0] for one, two in pairwise(weights)):
        weights = [weight.T for weight in weights]
    biases = [found[number].get("b") for number in numbers]
    if any(
        bias is not None and bias.size != weight.shape[1]
        for weight, bias in zip(weights, biases, strict=True)
    ):
        return None
    return content(
        [
            (weight, np.zeros(weight.shape[1]) if bias is None else bias.reshape(-1))
            for weight, bias in zip(weights, biases, strict=True)
        ]
    )


def prepare() -> None:
    """Have everything imported."""
    se.Mlp([se.Layer(ARRAYS["W1"], ARRAYS["b1"], "identity")])
