"""Intervals for a mean loss: one file for each method, one row each in the table `INTERVALS`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.asymptotic import ASYMPTOTIC
from streameval.statistics.intervals.batch import Batch
from streameval.statistics.intervals.bernstein import BERNSTEIN
from streameval.statistics.intervals.betting import BETTING
from streameval.statistics.intervals.method import Interval, Method
from streameval.statistics.intervals.normal import NORMAL
from streameval.statistics.intervals.predictable import PREDICTABLE
from streameval.statistics.intervals.serfling import SERFLING
from streameval.statistics.intervals.skew import SKEW
from streameval.statistics.samples import pattern

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
    rows: NDArray[np.int64] | None = None,
) -> Interval:
    """Return where the mean loss of all rows lies, judged by the losses of some.

    losses      (n,) finite, in nats, in the order in which the rows were drawn
    method      a row of `INTERVALS`
    population  N when the rows were drawn without replacement, None when with
    bounds      what no loss can pass, `Loss.bounds`; needed by bernstein, serfling, betting, predictable
    rows        (n,) the row numbers, for a warning if they were plainly not drawn at random

    At n = N without replacement the interval is the mean, exactly. Raises UsageError, DataError.
    """
    batch = Batch.of(losses, population)
    computed = lookup(method).interval(batch, level, bounds)
    patterned = None if rows is None or batch.exhausted else pattern(rows)
    if patterned is None:
        return computed
    return replace(computed, warning=" ".join(filter(None, [patterned, computed.warning])))


def lookup(method: str) -> Method:
    """Return the row of `INTERVALS`, or raise UsageError that lists them."""
    if method not in INTERVALS:
        raise UsageError(f"interval {method!r} is not known. Choose one of {', '.join(INTERVALS)}.")
    return INTERVALS[method]
