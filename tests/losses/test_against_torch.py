"""Losses beside PyTorch's own, over random combinations of their options: fixed seeds, logits scored by the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import streameval as se
from streameval.layers import Dense
from streameval.losses.loss import Loss
from streameval.scoring import make_scorer

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'streameval[bench]'")
functional: Any = torch.nn.functional
torch.set_num_threads(1)  # a dozen rows are not worth waking others

COMBINATIONS = 1000


def identity(outputs: int, known: dict[int, Any] = {}) -> Any:  # noqa: B006 - one network of each width
    """A network whose outputs are its features: what is scored are these logits, to the bit."""
    if outputs not in known:
        eye = np.eye(outputs, dtype=np.float32)
        known[outputs] = se.Mlp([Dense(eye, np.zeros(outputs, np.float32), "identity")])
    return known[outputs]


def scored(z: np.ndarray, t: np.ndarray, loss: Loss) -> np.ndarray:
    """The kernels' losses of logits z."""
    source = se.open((z, t))
    return make_scorer(identity(z.shape[1]), source, loss).score(source.take(np.arange(len(z)))).loss


def logits(rng: np.random.Generator, rows: int, outputs: int) -> np.ndarray:
    return (rng.choice([0.1, 1.0, 5.0, 30.0]) * rng.normal(size=(rows, outputs))).astype(np.float32)


def tensor(values: np.ndarray) -> Any:
    return torch.tensor(values.astype(np.float64) if values.dtype.kind == "f" else values)


def agree(found: np.ndarray, wanted: Any) -> None:
    theirs = wanted.numpy()
    assert found.shape == theirs.shape
    assert np.abs(found - theirs).max() <= 1e-6 * max(1.0, np.abs(theirs).max())


@pytest.mark.filterwarnings("ignore::streameval.errors.StreamevalWarning")
def test_cross_entropy_is_torchs() -> None:
    rng = np.random.default_rng(20)
    for _ in range(COMBINATIONS):
        rows, classes = int(rng.integers(1, 12)), int(rng.integers(2, 7))
        z = logits(rng, rows, classes)
        smoothing = float(rng.choice([0.0, 0.1, rng.random(), 1.0]))
        soft = bool(rng.integers(2))
        t = rng.dirichlet(np.ones(classes), rows) if soft else rng.integers(0, classes, rows)
        loss = se.CrossEntropy(0.0, label_smoothing=smoothing)
        theirs = functional.cross_entropy(tensor(z), tensor(t), label_smoothing=smoothing, reduction="none")
        agree(scored(z, t, loss), theirs)
        agree(loss.reference(z.astype(np.float64), t), theirs)
