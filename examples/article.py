"""The article, step by step: the cross-entropy error of a trained network, of a mini-batch and of all rows.

    streameval fetch mnist data/mnist
    python examples/article.py data/mnist sample_weight.pkl

`sample_weight.pkl` is the network of "Deep Learning from Scratch" (K. Saitoh, O'Reilly Japan).
"""

from __future__ import annotations

import sys

import numpy as np

import streameval as se


def main(root: str, weights: str) -> None:
    # Load the images: pixels 0..255 become 0.0..1.0, each image one row, each label one-hot.
    (x_train, t_train), _ = se.load_mnist(normalize=True, flatten=True, one_hot_label=True, root=root)
    print("x_train", x_train.shape, x_train.dtype)
    print("t_train", t_train.shape)

    # Load the trained network, and let it say how likely it holds each digit for the first image.
    network = se.load_model(weights)
    y = se.predict(network, x_train[:1])
    print("first image:", np.round(y[0], 3), "is a", t_train[0].argmax())

    # The cross-entropy error of one row: E = -sum_k t_k log(y_k + 1e-7).
    print("its error:", se.cross_entropy_error(y[0], t_train[0]))

    # A mini-batch (ミニバッチ): 100 of the 60,000 rows, drawn with replacement.
    batch_mask = np.random.default_rng(0).choice(len(x_train), 100)
    x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
    y_batch = se.predict(network, x_batch)
    print("mini-batch, one-hot targets:", se.cross_entropy_error(y_batch, t_batch))
    print("mini-batch, integer labels: ", se.cross_entropy_error(y_batch, t_batch.argmax(axis=1)))

    # What the article holds to be too expensive: the loss over all rows.
    data = se.open((x_train, t_train))
    full = se.evaluate(network, data)
    print(f"all {full.rows} rows: {full.loss:.10f}, {full.accuracy:.2%} right")

    # The same 100 rows, and 100 others with the interval that they give for the full loss.
    print(f"the same mini-batch: {se.evaluate(network, data, rows=batch_mask).loss:.10f}")
    batch = se.minibatch(network, data, size=100, seed=1).batches[0]
    interval = batch.interval
    print(
        f"another mini-batch: {batch.loss:.4f}; by it alone the full loss lies in "
        f"[{interval.low:.4f}, {interval.high:.4f}] ({interval.level:.0%}, {interval.method})"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
