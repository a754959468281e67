"""What looking after every row does to intervals: to those made for it, and to the normal one.

Knows losses, as an array or a mapped file. Does not know the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from streameval.errors import UsageError
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.betting import PRIOR, log_capital, threshold
from streameval.statistics.intervals.method import quantile
from streameval.statistics.population import Population
from streameval.statistics.seeds import number, spawn_stream
from streameval.statistics.trials import orders as draw_orders

FIRST_LOOK = 30  # where the naive looker begins; with fewer rows it would be wrong still more often


@dataclass(frozen=True, slots=True)
class Peeking:
    """Shares of random orders in which some look, after any row up to `rows`, missed the full loss."""

    orders: int
    rows: int
    level: float
    betting: float
    predictable: float
    normal: float


def peeking(
    losses: Any,
    *,
    orders: int = 500,
    rows: int | None = None,
    half_width: float = 0.01,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    bounds: Bounds | None,
) -> Peeking:
    """Follow the intervals of `until`, and the normal one, along random orders, and count who ever missed.

    losses: (N,) an array or a mapped file · rows: how far to follow each order, at most 60,000 unless told.
    The first two should miss in at most 1 - level of the orders; the normal one was not made for looking.
    """
    low, high = needed(bounds, "betting")
    whole = Population.of(losses)
    far = min(whole.rows, 60_000) if rows is None else rows
    if orders < 1 or not 1 <= far <= whole.rows:
        raise UsageError(
            f"{orders} orders of {far} rows: one order, and 1 to {whole.rows} rows, were expected."
        )
    stream = np.random.Generator(np.random.PCG64(spawn_stream(number(seed))))
    missed = np.zeros(3, np.int64)
    for drawn in draw_orders(whole.rows, far, orders, stream=stream):
        batch = Batch(np.asarray(losses[drawn], np.float64), whole.rows)
        batch.check((low, high))
        capital = log_capital(batch, level, whole.mean, (low, high), ever=True, half_width=half_width)
        missed[0] += np.count_nonzero(capital.max(axis=1) >= threshold(level))
        scaled = batch.scaled((low, high))
        aim, truth = half_width / (high - low), (whole.mean - low) / (high - low)
        for row, values in zip(scaled, batch.values, strict=True):
            missed[1] += _predictable(row, whole.rows, aim, level, truth)
            missed[2] += _normal(values, whole, level)
    return Peeking(orders, far, level, *(missed / orders).tolist())


def _predictable(x: Floats, population: int, aim: float, level: float, truth: float) -> bool:
    from streameval.kernels.statistics_predictable import predictable_onward

    ends = np.empty((len(x), 2))
    predictable_onward(x, population, aim, True, PRIOR, threshold(level), np.zeros(7), ends)
    # What the rows force is exact, and so is the truth at the last row: leave room for rounding.
    return bool(((ends[:, 0] > truth + 1e-12) | (ends[:, 1] < truth - 1e-12)).any())


def _normal(values: Floats, whole: Population, level: float) -> bool:
    rows = np.arange(1, len(values) + 1)[FIRST_LOOK - 1 :]
    gap = values - whole.mean
    total, squares = np.cumsum(gap)[FIRST_LOOK - 1 :], np.cumsum(gap * gap)[FIRST_LOOK - 1 :]
    inside = rows < whole.rows
    rows, total, squares = rows[inside], total[inside], squares[inside]
    variance = (squares - total * total / rows) / (rows - 1)
    half = quantile(level) * np.sqrt(np.maximum(variance, 0.0) * (1.0 / rows - 1.0 / whole.rows))
    return bool((np.abs(total / rows) > half).any()) if len(rows) else False
