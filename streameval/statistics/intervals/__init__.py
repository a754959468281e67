"""Intervals for a mean loss: one file for each method, one row each in the table `table.INTERVALS`.

Methods are imported when the table is first asked for: what an interval is, is known without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streameval.statistics.intervals.batch import Batch
from streameval.statistics.intervals.method import Interval, Method

if TYPE_CHECKING:
    from streameval.statistics.intervals.table import INTERVALS, interval, lookup

__all__ = ["INTERVALS", "Batch", "Interval", "Method", "interval", "lookup"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streameval.statistics.intervals import table

    return getattr(table, name)
