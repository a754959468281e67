"""Reading random rows until the loss is known well enough. Knows a callable from row numbers to losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.betting import PRIOR
from streameval.statistics.samples import Permutation
from streameval.statistics.seeds import recorded
from streameval.statistics.sequences import ASSUMES, sequence

Read = Callable[[NDArray[np.int64]], Any]

FIRST_LOOK = 64
FAR, NEAR = 4, 20  # a look comes after a fourth more rows, or when near the end a twentieth more:
# so that few looks are made, and at most about 5 % of the rows are fetched in vain. Near: within twice the
# wanted half-width, which at the fastest shrinks like 1 / rows.


@frozen
class Step:
    """What is known after `rows_read` rows; in nats. The level is that of all steps together."""

    rows_read: int
    fraction: float
    loss: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return 0.5 * (self.high - self.low)


@frozen
class StoppingResult:
    """Where reading stopped, and why.

    loss          mean of the rows read, in nats; the full loss lies between low and high at `level`
    half_width    half of high - low · fraction: rows_read / population
    rows_fetched  rows whose loss was asked for: at most about 5 % more than the rows_read that were used
    stopped       "precision", or "exhausted" when all rows were read: then the loss is exact and the width 0
    """

    loss: float
    low: float
    high: float
    half_width: float
    level: float
    rows_read: int
    rows_fetched: int
    fraction: float
    method: str
    stopped: str
    assumes: str
    seed: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def until(
    read: Read,
    population: int,
    *,
    half_width: float,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    bounds: Bounds | None,
    method: str = "betting",
    prior: float = PRIOR,
    on_step: Callable[[Step], None] | None = None,
) -> StoppingResult:
    """Read random rows, without replacement, until the interval is narrow enough; then stop.

    read        row numbers (n,) int64 -> their losses (n,), in the same order; it may read them in any order
    half_width  in nats
    bounds      `Loss.bounds`
    method      a row of `sequences.SEQUENCES`; "asymptotic" needs no bounds
    prior       see `sequences.Betting`
    on_step     called at every look, for a live display

    However often one looks: with probability `level`, over the draw of the order, every interval shown contains the
    full loss. "betting" and "predictable" guarantee it for any losses within the bounds; "asymptotic" comes close
    where many rows were read before the first look, and shows nothing before (see `sequences.Asymptotic`). The looks,
    and the row it stops at, depend on the losses and the seed alone, not on how `read` works.

    Raises UsageError, DataError.
    """
    step = None
    fetched = 0

    def counted(rows: NDArray[np.int64]) -> Any:
        nonlocal fetched
        fetched += len(rows)
        return read(rows)

    steps = until_steps(
        counted,
        population,
        half_width=half_width,
        level=level,
        seed=seed,
        bounds=bounds,
        method=method,
        prior=prior,
    )
    for step in steps:
        if on_step is not None:
            on_step(step)
    if step is None:
        raise UsageError(f"population of {population} rows: at least one was expected.")
    return StoppingResult(
        step.loss,
        step.low,
        step.high,
        step.half_width,
        level,
        step.rows_read,
        fetched,
        step.fraction,
        method,
        "exhausted" if step.rows_read == population else "precision",
        ASSUMES[method],
        recorded(seed),
    )


def until_steps(
    read: Read,
    population: int,
    *,
    half_width: float,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    bounds: Bounds | None,
    method: str = "betting",
    prior: float = PRIOR,
) -> Iterator[Step]:
    """Yield what is known at every look, the last one being where `until` stops."""
    order = Permutation.of(population, seed=seed)
    known = sequence(method, population, half_width=half_width, level=level, bounds=bounds, prior=prior)
    part = FAR
    while known.fed < population:
        before = known.fed
        after = min(population, max(FIRST_LOOK, before + math.ceil(before / part)))
        known.feed(_losses(read, order.take(before, after)))
        stop = known.stop(before)
        rows = after if stop is None else stop
        step = Step(rows, rows / population, *known.at(rows))
        if known.shown(rows):
            yield step
        if stop is not None:
            return
        part = FAR if step.half_width > 2.0 * half_width else NEAR


def _losses(read: Read, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    losses = np.asarray(read(rows), np.float64)
    if losses.shape != rows.shape:
        raise UsageError(f"read: {len(rows)} rows were asked for, losses of shape {losses.shape} came back.")
    return losses
