"""streameval as a contestant: an opened source, a loaded model, the default eps."""

from __future__ import annotations

import numpy as np

import streameval as se
from benchmarks.data import EPS, Task, model
from benchmarks.peers.batches import BATCHES, SEED, SIZE, first_rows
from benchmarks.timing import Ready

# A hundred times closer than the peers are held to.
TOLERANCE = 1e-7
SINGLE_CALLS = 50


def whole(task: Task, _: int | None) -> Ready:
    """`se.evaluate`: loss, accuracy, confusion, per-class losses, digest and all."""
    network, source = model(task.layers, task.shape), se.open((task.x, task.t))
    return Ready(
        lambda: _loss(se.evaluate(network, source, threads=task.threads).loss),
        float(task.exact[EPS].mean()),
        TOLERANCE,
    )


def minibatches(task: Task, _: int | None) -> Ready:
    """`se.minibatch`, many batches in one call, each with its interval."""
    network, source = model(task.layers, task.shape), se.open((task.x, task.t))
    return Ready(
        lambda: se.minibatch(network, source, size=SIZE, batches=BATCHES, seed=SEED).loss,
        _exact(task),
        10 * TOLERANCE,
        BATCHES,
    )


def minibatch(task: Task, _: int | None) -> Ready:
    """`se.minibatch`, one batch a call."""
    network, source = model(task.layers, task.shape), se.open((task.x, task.t))

    def run() -> float:
        for _ in range(SINGLE_CALLS):
            loss = se.minibatch(network, source, size=SIZE, seed=SEED).loss
        return loss

    return Ready(run, _exact(task), 10 * TOLERANCE, SINGLE_CALLS)


def _exact(task: Task) -> float:
    return float(np.mean(task.exact[EPS][first_rows(task.rows)]))


def _loss(loss: float | None) -> float:
    return float("nan") if loss is None else loss
