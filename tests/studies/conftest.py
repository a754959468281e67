"""What the tests of studies share: the network that ships with the package and others like it, and real MNIST."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mnist_file import nudged

import streameval as se


@pytest.fixture(scope="session")
def models(network_file: Path) -> list[se.Mlp]:
    """The network that ships with the package, and two other checkpoints of it."""
    first = se.load_model(network_file)
    assert isinstance(first, se.Mlp)
    return [first, nudged(first, 0.02), nudged(first, 0.05, seed=1)]


@pytest.fixture(scope="session")
def model(models: list[se.Mlp]) -> se.Mlp:
    """The first of them."""
    return models[0]


@pytest.fixture(scope="session")
def losses(model: se.Mlp, digits_file: Path) -> np.ndarray:
    """Its losses on the drawn digits, read-only."""
    losses = se.per_sample_losses(model, digits_file)
    losses.setflags(write=False)
    return losses


@pytest.fixture(scope="session")
def mnist(mnist_dir: Path, mnist_train: Path) -> tuple[se.Mlp, se.Source]:
    """The article's network and the rows that it was trained on."""
    return se.load_model(mnist_dir / "sample_weight.pkl"), se.open(mnist_train)
