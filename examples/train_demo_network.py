"""Train the network that the demo evaluates: 784-50-100-10, sigmoid, on drawn digits, NumPy only.

    python examples/train_demo_network.py [DEST]

Writes `streameval/datasets/demo.safetensors`, or DEST, and prints the loss and the accuracy on digits that
were not trained on. Takes some ten seconds on two cores. The seeds are fixed; the last bits of the weights
still depend on the machine's matrix product, so a network trained elsewhere differs a little.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np

import streameval as se
from streameval.datasets.digits import demo_network_path, draw

SIZES = (784, 50, 100, 10)
ROWS = 60_000
EPOCHS = 3  # stopped early, on purpose: a loss of about 0.1 with a long tail, like networks in real use
BATCH = 100
RATE = 3e-3
TRAIN_SEED, TEST_SEED = 20_001, 20_002


def main() -> None:
    dest = sys.argv[1] if len(sys.argv) > 1 else demo_network_path()
    images, labels = draw(0, ROWS, seed=TRAIN_SEED)
    weights, biases = train(images.reshape(ROWS, -1), labels, np.random.default_rng(0))
    fresh, truth = draw(0, ROWS, seed=TEST_SEED)
    probabilities = forward(pixels(fresh.reshape(ROWS, -1)), weights, biases)[-1]
    losses = -np.log(probabilities[np.arange(ROWS), truth] + 1e-7)
    right = (probabilities.argmax(axis=1) == truth).mean()
    print(f"{ROWS} fresh digits: loss {losses.mean():.4f} (sd {losses.std():.4f}), {right:.2%} right")

    activations = ("sigmoid", "sigmoid", "identity")
    se.Mlp([se.Layer(*layer) for layer in zip(weights, biases, activations, strict=True)]).save(dest)
    print(f"written: {dest}")


def train(x, t, rng, sizes=SIZES, epochs=EPOCHS):
    """Return float32 weights and biases after `epochs` passes of Adam over x (n, 784) uint8, labels t (n,)."""
    weights = [rng.normal(0, m**-0.5, (m, n)).astype(np.float32) for m, n in pairwise(sizes)]
    biases = [np.zeros(n, np.float32) for n in sizes[1:]]
    parameters = weights + biases
    mean = [np.zeros_like(p) for p in parameters]
    square = [np.zeros_like(p) for p in parameters]
    steps = epochs * (len(x) // BATCH)
    for step in range(steps):
        if step % (len(x) // BATCH) == 0:
            order = rng.permutation(len(x))
        rows = order[step * BATCH % len(x) :][:BATCH]
        slopes = gradients(pixels(x[rows]), t[rows], weights, biases)
        rate = np.float32(RATE * (1 - step / steps))
        for p, g, m, s in zip(parameters, slopes, mean, square, strict=True):
            m += np.float32(0.1) * (g - m)
            s += np.float32(0.001) * (g * g - s)
            corrected = m / np.float32(1 - 0.9 ** (step + 1))
            p -= rate * corrected / (np.sqrt(s / np.float32(1 - 0.999 ** (step + 1))) + np.float32(1e-8))
    return weights, biases


def gradients(x, t, weights, biases):
    """Return the slopes of the mean cross-entropy of a batch: of the weights, then of the biases."""
    outputs = forward(x, weights, biases)
    error = outputs[-1].copy()
    error[np.arange(len(t)), t] -= 1
    error /= len(t)
    by_weight, by_bias = [], []
    for layer in (2, 1, 0):
        below = outputs[layer]
        by_weight.insert(0, below.T @ error)
        by_bias.insert(0, error.sum(axis=0))
        error = (error @ weights[layer].T) * below * (1 - below)
    return by_weight + by_bias


def forward(x, weights, biases):
    """Return [x, sigmoid layer, sigmoid layer, probabilities] for rows `x` (n, 784) float32 in 0..1."""
    first = sigmoid(x @ weights[0] + biases[0])
    second = sigmoid(first @ weights[1] + biases[1])
    logits = second @ weights[2] + biases[2]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return [x, first, second, powers / powers.sum(axis=1, keepdims=True)]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def pixels(x):
    return x / np.float32(255)


if __name__ == "__main__":
    main()
