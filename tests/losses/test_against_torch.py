"""Losses beside PyTorch's own, over random combinations of their options: fixed seeds, logits scored by the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import streameval as se
from streameval.layers import Dense
from streameval.losses.loss import Loss
from streameval.scoring import make_scorer
from streameval.storage.source import with_any_targets

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
    if not loss.classifies:
        source = with_any_targets(source)
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


def numbers(rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    """Targets like outputs z, some of them the outputs themselves."""
    t = rng.choice([0.1, 1.0, 30.0]) * rng.normal(size=z.shape)
    return np.where(rng.random(z.shape) < 0.1, z, t)


def shaped(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(1, 12)), int(rng.integers(1, 7))


def test_binary_cross_entropy_is_torchs() -> None:
    rng = np.random.default_rng(21)
    for _ in range(COMBINATIONS):
        rows, outputs = shaped(rng)
        z = logits(rng, rows, outputs)
        t = rng.random(z.shape) if rng.integers(2) else rng.integers(0, 2, z.shape).astype(np.float64)
        weight: Any = [1.0, float(rng.uniform(0.1, 9.0)), tuple(rng.uniform(0.1, 9.0, outputs))][
            rng.integers(3)
        ]
        loss = se.BinaryCrossEntropy(weight)
        theirs = functional.binary_cross_entropy_with_logits(
            tensor(z), tensor(t), pos_weight=tensor(np.atleast_1d(weight)), reduction="none"
        )
        agree(scored(z, t, loss), theirs.mean(dim=1))
        assert abs(loss.reference(z.astype(np.float64), t).mean() - theirs.mean().item()) < 1e-6


def test_squared_and_absolute_errors_are_torchs() -> None:
    rng = np.random.default_rng(22)
    for _ in range(COMBINATIONS):
        z = logits(rng, *shaped(rng))
        t = numbers(rng, z)
        given = t[:, 0] if t.shape[1] == 1 and rng.integers(2) else t
        theirs = functional.mse_loss(tensor(z), tensor(t), reduction="none").mean(dim=1)
        agree(scored(z, given, se.Squared()), theirs)
        theirs = functional.l1_loss(tensor(z), tensor(t), reduction="none").mean(dim=1)
        agree(scored(z, given, se.Absolute()), theirs)


def test_hubers_loss_is_torchs() -> None:
    rng = np.random.default_rng(23)
    for _ in range(COMBINATIONS):
        z = logits(rng, *shaped(rng))
        t, delta = numbers(rng, z), float(np.exp(rng.normal(0.0, 2.0)))
        theirs = functional.huber_loss(tensor(z), tensor(t), delta=delta, reduction="none").mean(dim=1)
        agree(scored(z, t, se.Huber(delta)), theirs)


def test_the_mean_over_rows_is_torchs_reduction() -> None:
    rng = np.random.default_rng(24)
    z = logits(rng, 50, 4)
    t = numbers(rng, z)
    theirs = functional.mse_loss(tensor(z), tensor(t)).item()
    assert se.evaluate(identity(4), (z, t), loss=se.Squared()).loss == pytest.approx(theirs, rel=1e-6)
