"""The mini-batch that all contestants draw: 100 rows with replacement, by the same generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import Task
from benchmarks.timing import Ready

SIZE, BATCHES, SEED = 100, 200, 0


def first_rows(rows: int) -> NDArray[np.int64]:
    """Row numbers (100,) of the first batch."""
    return np.random.default_rng(SEED).integers(0, rows, SIZE)


def parts_of(task: Task, chunk: int | None) -> list[dict[str, NDArray[Any]]]:
    """The rows in chunks, as graphs take them: x (n, *shape) and t."""
    step = min(chunk or task.rows, task.rows)
    x = task.x.reshape(-1, *task.shape)
    return [{"x": x[i : i + step], "t": task.t[i : i + step]} for i in range(0, task.rows, step)]


def batches_of(
    task: Task, mean_loss: Callable[[NDArray[np.int64]], Any], eps: float, tolerance: float
) -> Ready:
    """Draw 200 batches and take the mean loss of each; `run` returns that of the first, which is checked."""

    def run() -> float:
        random = np.random.default_rng(SEED)
        losses = [float(mean_loss(random.integers(0, task.rows, SIZE))) for _ in range(BATCHES)]
        return losses[0]

    return Ready(run, float(task.exact[eps][first_rows(task.rows)].mean()), tolerance, BATCHES)
