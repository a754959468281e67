"""Intervals for a mean loss: one file for each method, one row each in the table `INTERVALS`."""

from __future__ import annotations

from typing import Any

from streameval.errors import UsageError
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.asymptotic import ASYMPTOTIC
from streameval.statistics.intervals.batch import Batch
from streameval.statistics.intervals.bernstein import BERNSTEIN
from streameval.statistics.intervals.betting import BETTING
from streameval.statistics.intervals.interval import Interval, Method
from streameval.statistics.intervals.normal import NORMAL
from streameval.statistics.intervals.predictable import PREDICTABLE
from streameval.statistics.intervals.serfling import SERFLING
from streameval.statistics.intervals.skew import SKEW

INTERVALS: dict[str, Method] = {
    "normal": NORMAL,
    "skew": SKEW,
    "bernstein": BERNSTEIN,
    "serfling": SERFLING,
    "betting": BETTING,
    "predictable": PREDICTABLE,
    "asymptotic": ASYMPTOTIC,
}


def interval(
    losses: Any,
    method: str = "normal",
    *,
    level: float = 0.95,
    population: int | None = None,
    bounds: Bounds | None = None,
) -> Interval:
    """Return where the mean loss of all rows lies, judged by the losses of some.

    losses      (n,) finite, in nats, in the order in which the rows were drawn
    method      a row of `INTERVALS`
    population  N when the rows were drawn without replacement, None when with
    bounds      what no loss can pass, `loss_bounds(eps)`; needed by bernstein, serfling, betting, predictable

    At n = N without replacement the interval is the mean, exactly. Raises UsageError, DataError.
    """
    return lookup(method).interval(Batch.of(losses, population), level, bounds)


def lookup(method: str) -> Method:
    """Return the row of `INTERVALS`, or raise UsageError that lists them."""
    if method not in INTERVALS:
        raise UsageError(f"interval {method!r} is not known. Choose one of {', '.join(INTERVALS)}.")
    return INTERVALS[method]


__all__ = ["INTERVALS", "Batch", "Interval", "Method", "interval", "lookup"]
