"""Losses on which intervals are tried: of two networks on MNIST, and made to be hard. Knows no interval.

Real MNIST and the article's network come from the folder that `data.mnist_folder` finds. Without them the populations
that need them are left out, and it is said why.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import EPS, ROOT, mnist_folder

ROWS = 60_000


@dataclass(frozen=True, eq=False)
class Population:
    """Losses in nats, float64 (N,), the bounds that none can pass, and what they are, for people.

    differences: of two losses of the same row, so that bets start small
    """

    title: str
    losses: NDArray[np.float64]
    bounds: tuple[float, float]
    differences: bool = False


def missing() -> str | None:
    """Why the populations of real MNIST are left out, or None."""
    if mnist_folder() is not None:
        return None
    return (
        "Left out, because real MNIST is not at hand: MNIST, the accurate network, and differences. Set "
        "STREAMEVAL_MNIST to a folder with the four IDX files and sample_weight.pkl."
    )


def populations() -> dict[str, Callable[[], Population]]:
    """What there is: name -> how it is made."""
    real = {"mnist": mnist, "accurate": accurate, "differences": differences}
    made = {"rare": rare, "bounds": at_the_bounds}
    found = made if missing() else real | made
    return {name: found[name] for name in ORDER if name in found}


ORDER: Final = ("mnist", "accurate", "rare", "bounds", "differences")


def mnist() -> Population:
    """The article's network on MNIST's training rows."""
    import streameval as se

    folder = _folder()
    losses = se.per_sample_losses(se.load_model(folder / "sample_weight.pkl"), _rows("train"))
    return Population("the article's network on MNIST's 60,000 training rows", losses, _bounds())


def accurate() -> Population:
    """A network that is right on 97.9 % of MNIST's test rows."""
    import streameval as se

    losses = _accurate("test")
    right = se.evaluate(_TRAINED[0], _rows("test")).accuracy
    return Population(
        f"a network that is right on {right:.1%} of MNIST's 10,000 test rows".replace("%", " %"),
        losses,
        _bounds(),
    )


def differences() -> Population:
    """The accurate network's loss minus the article's network's, row by row."""
    import streameval as se

    old = se.per_sample_losses(se.load_model(_folder() / "sample_weight.pkl"), _rows("test"))
    width = _bounds()[1] - _bounds()[0]
    return Population(
        "the second network's loss minus the first's, on the test rows",
        _accurate("test") - old,
        (-width, width),
        differences=True,
    )


def rare() -> Population:
    """Rare large losses: 0.5 % of rows at 8 to 16 nats, the others near 0."""
    rng = np.random.default_rng(11)
    losses = rng.exponential(0.05, ROWS)
    picked = rng.choice(ROWS, ROWS // 200, replace=False)
    losses[picked] = rng.uniform(8.0, 16.0, len(picked))
    return Population("60,000 losses near 0, and 0.5 % of them at 8 to 16 nats", losses, _bounds())


def at_the_bounds() -> Population:
    """Two points: half of all rows at each bound, where a bound on means is put to its hardest test."""
    low, high = _bounds()
    return Population(
        "60,000 losses, half of them at each bound, 0 and 16.1 nats",
        np.repeat([low, high], ROWS // 2),
        (low, high),
    )


def _bounds() -> tuple[float, float]:
    from streameval.losses import CrossEntropy

    bounds = CrossEntropy(eps=EPS).bounds
    assert bounds is not None
    return bounds


def _folder() -> Path:
    folder = mnist_folder()
    assert folder is not None
    return folder


def _rows(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    import streameval as se

    pairs = se.load_mnist(normalize=False, flatten=True, root=_folder())
    x, t = pairs[0 if split == "train" else 1]
    return x, t.astype(np.int64)


def _accurate(split: str) -> NDArray[np.float64]:
    """Losses of the network that examples/train_mnist_network.py trains; trained once a process."""
    import streameval as se

    if not _TRAINED:
        with tempfile.TemporaryDirectory(prefix="streameval-benchmarks-") as folder:
            dest = Path(folder) / "accurate.safetensors"
            script = ROOT / "examples" / "train_mnist_network.py"
            command = [sys.executable, str(script), str(_folder()), str(dest)]
            # One thread: products this small only wait for each other.
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
            subprocess.run(command, check=True, stdout=sys.stderr, env=environment)
            _TRAINED.append(se.load_model(dest))
    return se.per_sample_losses(_TRAINED[0], _rows(split))


_TRAINED: list[Any] = []
