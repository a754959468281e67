"""What the kernels give on fixed random rows, as hashes of the bits by case; as a program, prints JSON."""

from __future__ import annotations

import hashlib
import json

import naive
import numpy as np
import small_images
import small_networks as small

import streameval as se
from streameval.kernels import host


def hashes() -> dict[str, str]:
    """SHA-256 of every loss, and the report's digest, by case; `level` is what was compiled for."""
    out = {"level": host.level()}
    hidden = sorted(naive.ACTIVATIONS)
    cases = {
        "article": ([784, 50, 100, 10], ["sigmoid", "sigmoid"]),
        "all activations": ([203, *range(17, 17 + len(hidden)), 9], hidden),
        "wide": ([130, 300, 70], ["relu"]),
    }
    for name, (sizes, activations) in cases.items():
        layers = small.network(sizes, activations, seed=3)
        model = se.Mlp([se.Layer(*layer) for layer in layers])
        # The last column is 2,000 times larger: such a layer keeps its float32 weights.
        first = layers[0].weight.copy()
        first[-1] *= 2000.0
        spread = se.Mlp([se.Layer(first, layers[0].bias, layers[0].activation), *model.layers[1:]])
        n = 400
        t = small.labels(n, sizes[-1])
        for kind, x in {
            "mixed": small.pixels("mixed", n, sizes[0]),
            "dense": small.pixels("dense", n, sizes[0]),
            "floats": small.floats(n, sizes[0]),
        }.items():
            # Only the first layer sees what rows are made of: the others' code is that for bytes, compiled once more.
            if kind == "floats" and name == "all activations":
                continue
            for eps in (1e-7, 0.0):
                for way, network in (("", model), (" spread", spread)):
                    losses = se.per_sample_losses(network, (x, t), eps=eps)
                    key = f"{name}, {kind}{way}, eps {eps}"
                    out[key] = hashlib.sha256(losses.tobytes()).hexdigest()
            out[f"{name}, {kind}, digest"] = se.evaluate(model, (x, t)).digest
            soft = small.soft_targets(n, sizes[-1])
            losses = se.per_sample_losses(model, (x, soft))
            out[f"{name}, {kind}, soft"] = hashlib.sha256(losses.tobytes()).hexdigest()
            out[f"{name}, {kind}, probabilities"] = hashlib.sha256(se.predict(model, x).tobytes()).hexdigest()
    out["ragged shapes"] = ragged()
    return out | images()


def images() -> dict[str, str]:
    """SHA-256 of the losses of networks on images, by kind of rows: floats are convolved once, by the first layer."""
    out = {}
    for kind in ("mixed", "floats"):
        digest = hashlib.sha256()
        for seed in small_images.SEEDS:
            network = small_images.front(seed) if kind == "floats" else small_images.network(seed)
            n = 75
            x = (
                small.floats(n, network.features)
                if kind == "floats"
                else small.pixels(kind, n, network.features)
            )
            digest.update(
                se.per_sample_losses(network, (x, small.labels(n, network.outputs)), eps=0.0).tobytes()
            )
        out[f"images, {kind}"] = digest.hexdigest()
    return out


def ragged() -> str:
    """SHA-256 of losses of rows of bytes, for widths and numbers of features and rows at all kinds of ends."""
    digest = hashlib.sha256()
    for features in (1, 2, 3, 4, 5, 17, 63, 64, 67, 130, 257):
        for width in (1, 5, 10, 16, 33, 43, 50, 64, 65, 96, 200):
            layers = small.network([features, width, 3], ["tanh"], seed=features * width)
            model = se.Mlp([se.Layer(*layer) for layer in layers])
            for n in (1, 2, 15, 50):
                x = small.pixels("mixed", n, features, seed=n)
                x[0] = 255
                digest.update(se.per_sample_losses(model, (x, small.labels(n, 3)), eps=0.0).tobytes())
    # The last one fits 32 bits, or does not.
    for features in (65_788, 65_789, 65_793):
        model = se.Mlp([se.Layer(np.array([[1.0, -1.0]] * features), np.zeros(2), "identity")])
        x = np.full((3, features), 255, np.uint8)
        x[1, ::3] = 0
        x[2, 1::2] = 7
        digest.update(se.per_sample_losses(model, (x, np.array([0, 1, 0])), eps=0.0).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print(json.dumps(hashes()))
