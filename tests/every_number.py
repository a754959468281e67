"""Every number of results of all kinds on fixed random rows, by where it lies; as a program, prints JSON.

`python tests/every_number.py FOLDER`; a file is written into the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import streameval as se

# What differs from run to run, and the hashes of what has that in it.
UNEQUAL = {"path", "resources", "seconds", "sha256", "name"}


def results(folder: Path) -> dict[str, Any]:
    """Each result as its JSON, and the losses of saved outputs."""
    rng = np.random.default_rng(7)
    x = rng.integers(0, 256, (6000, 784), np.uint8)
    x[:, ::3] = 0
    t = rng.integers(0, 10, 6000)
    one, two, data = network(1, "gelu"), network(2, "sigmoid"), se.open((x, t))
    file = folder / "outputs.npz"
    np.savez(file, logits=rng.normal(0, 3, (6000, 10)), label=t, group=rng.integers(0, 500, 6000))
    saved = se.open_outputs(file, logits="logits", label="label", group="group")
    found = {
        "evaluate": se.evaluate(one, data),
        "evaluate another": se.evaluate(two, data),
        "saved": se.evaluate(saved),
        "saved, without eps": se.evaluate(saved, eps=0.0),
        "minibatch": se.minibatch(one, data, batches=20),
        "compare": se.compare(one, data, trials=300),
        "until": se.evaluate_until(one, data, half_width=0.05),
        "paired": se.paired([one, two], data),
        "compare saved": se.compare(saved, trials=300),
        "calibration": se.calibration(one, data),
        "anatomy": se.evaluate(one, data, anatomy=True),
        "a predictor's anatomy": se.evaluate(lambda x: x[:, :10] * 30, data, anatomy=True),
    }
    losses = [ell.hex() for ell in se.per_sample_losses(saved).tolist()]
    return {name: result.to_dict() for name, result in found.items()} | {"losses": losses}


def network(seed: int, activation: str) -> se.Mlp:
    """784-37-10."""
    rng = np.random.default_rng(seed)
    return se.Mlp(
        [
            se.Layer(
                rng.normal(0, 1 / n**0.5, (n, m)).astype(np.float32),
                rng.normal(size=m).astype(np.float32),
                kind,
            )
            for n, m, kind in ((784, 37, activation), (37, 10, "identity"))
        ]
    )


def numbers(value: Any, where: str = "") -> dict[str, Any]:
    """Everything in JSON by where it lies, but for what every run has of its own."""
    if isinstance(value, dict):
        inside = {f"{where}.{key}": value[key] for key in value if key not in UNEQUAL}
    elif isinstance(value, list | tuple):
        inside = {f"{where}[{i}]": one for i, one in enumerate(value)}
    else:
        return {where: value}
    return {k: v for place, one in inside.items() for k, v in numbers(one, place).items()}


if __name__ == "__main__":
    json.dump(numbers(results(Path(sys.argv[1]))), sys.stdout)
