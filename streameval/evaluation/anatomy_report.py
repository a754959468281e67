"""What an anatomy says in a report: numbers made of its exact counts. Knows JSON; not how it looks on a screen."""

from __future__ import annotations

import math
from typing import Any

from streameval.defaults import FURTHER_DATA, LEVEL
from streameval.evaluation.anatomy import (
    BINS,
    QUANTILES,
    RELATIVE,
    WORST_SHARE,
    Anatomy,
    Chances,
    Slice,
    tops,
)
from streameval.evaluation.state import State
from streameval.statistics.accuracy import accuracy_interval
from streameval.statistics.intervals.method import Interval


def anatomy_dict(anatomy: Anatomy, state: State) -> dict[str, Any]:
    """An anatomy of the rows of a state, for people and programs, with its own exact state."""
    sums = state.sums
    worst = anatomy.grid.worst(WORST_SHARE, sums)
    found = [anatomy.grid.quantile(share, sums) for share in QUANTILES]
    chances = anatomy.chances
    return {
        "quantiles": [one.to_dict() for one in found if one is not None],
        "quantiles_within": RELATIVE,
        "worst": None if worst is None else worst.to_dict(),
        "top_k": None if chances is None else top_dicts(chances),
        "brier": None if chances is None else {"score": chances.brier.mean, "stderr": stderr(chances.brier)},
        "calibration": None if chances is None else calibration_dict(chances),
        "by": None if anatomy.slices is None else by_dict(anatomy.column, anatomy.slices),
        "state": anatomy.to_dict(),
    }


def stderr(sums: Any) -> float | None:
    """Standard error of a mean for further data of independent rows; None for fewer than two rows."""
    return None if sums.stddev is None else float(sums.stddev / math.sqrt(sums.rows))


def top_dicts(chances: Chances) -> list[dict[str, Any]]:
    """The accuracies of the first k classes."""
    return [
        {"k": k, "right": right, "accuracy": right / chances.rows if chances.rows else None}
        for k, right in zip(tops(chances.classes), chances.top, strict=True)
    ]


def calibration_dict(chances: Chances) -> dict[str, Any]:
    """The calibration error and its bins."""
    bins = []
    for k, (one, interval) in enumerate(zip(chances.bins, bin_intervals(chances), strict=True)):
        said = None if interval is None else {**interval.to_dict(), "estimates": FURTHER_DATA}
        bins.append(
            {
                "from": k / BINS,
                "to": (k + 1) / BINS,
                "rows": one.rows,
                "confidence": one.confidence,
                "accuracy": one.accuracy,
                "interval": said,
            }
        )
    return {
        "error": chances.calibration_error,
        "largest_gap": chances.largest_gap,
        "by_chance": chances.by_chance,
        "bins": bins,
    }


def bin_intervals(chances: Chances) -> list[Interval | None]:
    """Where the accuracy of each bin lies on further data: intervals that hold together, Bonferroni's; None without
    rows."""
    there = sum(one.rows > 0 for one in chances.bins)
    level = 1.0 - (1.0 - LEVEL) / max(1, there)
    return [accuracy_interval(one.right, one.rows, level=level) if one.rows else None for one in chances.bins]


def by_dict(column: str | None, slices: dict[str, Slice]) -> dict[str, Any]:
    """Results by value of a column, in the order of the values."""
    return {
        "column": column,
        "values": [
            {
                "value": value,
                "rows": one.sums.rows,
                "loss": one.sums.mean,
                "stderr": stderr(one.sums),
                "correct": one.correct,
            }
            for value, one in ordered(slices)
        ],
    }


def ordered(slices: dict[str, Slice]) -> list[tuple[str, Slice]]:
    """The values in order: numbers by size, others by letters."""

    def key(pair: tuple[str, Slice]) -> tuple[bool, int, str]:
        number = pair[0].lstrip("-").isdecimal() and len(pair[0]) < 20
        return not number, int(pair[0]) if number else 0, pair[0]

    return sorted(slices.items(), key=key)
