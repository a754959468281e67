"""What the kernels give on fixed random rows, as hashes of the bits by case; as a program, prints JSON."""

from __future__ import annotations

import hashlib
import json

import naive
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
    return out


if __name__ == "__main__":
    print(json.dumps(hashes()))
