"""The numbers of real MNIST with the book's convolutional networks, as float64 PyTorch computed them once."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import streameval as se

# File, what prediction multiplies by at each dropout; t10k: mean of -log(y + 1e-7), of -log(y), correct predictions.
GOLDEN = [
    ("simple_convnet_params-2016", 1.0, 0.05221977738769335, 0.052346131834745645, 9_890),
    ("simple_convnet_params-2022", 1.0, 0.13250559740295448, 0.1325062647500766, 9_600),
    ("deep_convnet_params-2016", 0.5, 0.08225729456121764, 0.08225740823028437, 9_935),
    ("deep_convnet_params-2016", 1.0, 0.02608630178607408, 0.026099762371685858, 9_938),
    ("deep_convnet_params-2022", 0.5, 0.08971595937211953, 0.0897160933023976, 9_797),
    ("deep_convnet_params-2022", 1.0, 0.09785146632586925, 0.10111760430530138, 9_796),
]


def book_network(path: Path, dropout: float) -> se.Network:
    p = pickle.loads(path.read_bytes())
    if "W8" not in p:
        layers = [
            se.Conv2d(p["W1"], p["b1"], activation="relu"),
            se.MaxPool2d(2),
            se.Dense(p["W2"], p["b2"], "relu"),
            se.Dense(p["W3"], p["b3"], "identity"),
        ]
        return se.Network(layers, shape=(1, 28, 28))
    layers = []
    for k, padding in enumerate((1, 1, 1, 2, 1, 1), start=1):
        layers.append(se.Conv2d(p[f"W{k}"], p[f"b{k}"], padding=padding, activation="relu"))
        layers += [se.MaxPool2d(2)] if k % 2 == 0 else []
    layers += [se.Dense(p["W7"], p["b7"], "relu"), se.Dropout(dropout)]
    layers += [se.Dense(p["W8"], p["b8"], "identity"), se.Dropout(dropout)]
    return se.Network(layers, shape=(1, 28, 28))


@pytest.fixture(scope="module")
def test_rows(mnist_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    _, (x, t) = se.load_mnist(normalize=False, flatten=True, root=mnist_dir)
    return x, t.astype(np.int64)


@pytest.mark.parametrize(("name", "dropout", "loss", "loss_eps_0", "correct"), GOLDEN)
def test_a_network_of_the_book_gives_its_numbers(
    mnist_dir: Path,
    test_rows: tuple[np.ndarray, np.ndarray],
    name: str,
    dropout: float,
    loss: float,
    loss_eps_0: float,
    correct: int,
) -> None:
    path = mnist_dir / "book" / f"{name}.pkl"
    if not path.exists():
        pytest.skip(f"{path} is not there: the book's convolutional networks")
    network = book_network(path, dropout)
    report = se.evaluate(network, test_rows)
    assert report.loss == pytest.approx(loss, abs=1e-6)
    assert report.accuracy * 10_000 == pytest.approx(correct)
    assert se.evaluate(network, test_rows, eps=0.0).loss == pytest.approx(loss_eps_0, abs=1e-6)
    x, t = (rows[:50] for rows in test_rows)
    exact = se.CrossEntropy(0.0).reference(network.reference(x / 255.0), t)
    assert np.abs(se.per_sample_losses(network, (x, t), eps=0.0) - exact).max() < 2e-5
