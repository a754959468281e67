"""What a metric comes to: a number with its spread, its rows, and an interval for further data. Knows exact states."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from streameval.defaults import FURTHER_DATA, LEVEL
from streameval.errors import DataError
from streameval.evaluation.state import UNITS, State
from streameval.frozen import frozen
from streameval.statistics.accuracy import accuracy_interval
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.method import Interval, checked_level
from streameval.statistics.student import STUDENT, t_quantile

ASSUMES = (
    "For further data of the same kind, approximately: rows are independent of each other, and many enough that their "
    "mean is nearly normally distributed."
)
FEW_ROWS = 30
UNBOUNDED = -math.inf, math.inf


@frozen(repr=False)
class Value:
    """The mean of a value a row, exactly; `float(value)` is it.

    state     the exact sums
    repeated  rows that came again and count once, where their numbers were given
    disagreement   the most that the results of one row lie apart
    bounds    where a row's value lies, as far as that is known
    """

    state: State
    repeated: int = 0
    disagreement: float = 0.0
    bounds: Bounds = UNBOUNDED

    @property
    def rows(self) -> int:
        """Rows in the mean."""
        return self.state.rows

    @property
    def mean(self) -> float | None:
        """The exact sum over rows, rounded once; None without rows."""
        return self.state.loss

    @property
    def stddev(self) -> float | None:
        """Standard deviation of the rows' values (ddof 1), None for fewer than two rows."""
        return self.state.sums.stddev

    @property
    def stderr(self) -> float | None:
        """stddev / sqrt(rows): how far the mean, exact for these rows, lies from that of further data of the same kind,
        if rows are independent. None for fewer than two rows."""
        return None if self.stddev is None else self.stddev / math.sqrt(self.rows)

    def interval_at(self, level: float) -> Interval | None:
        """mean -+ t stderr, Student's t of rows - 1 degrees of freedom: for further data. No end lies where no mean
        can. None without rows."""
        checked_level(level)
        if self.mean is None:
            return None
        half = math.inf if self.stderr is None else t_quantile(level, self.rows - 1) * self.stderr
        few = None
        if self.rows < FEW_ROWS or not self.stderr:
            few = f"{self.rows} rows say little of their spread: the interval is likely too short."
        # Of soft targets whose weights are not of sum 1 a row may cost more than a loss's bound.
        low, high = self.bounds
        possible = min(low, self.state.sums.smallest), max(high, self.state.sums.largest)
        return Interval(self.mean - half, self.mean + half, level, STUDENT, ASSUMES, few).within(possible)

    @property
    def interval(self) -> Interval | None:
        """`interval_at(0.95)`."""
        return self.interval_at(LEVEL)

    @property
    def digest(self) -> str:
        """SHA-256 of the exact state: equal for equal rows, in whatever order and batches they came. With rows=, it is
        that of `se.evaluate` on the same outputs."""
        return self.state.digest

    def __float__(self) -> float:
        if self.mean is None:
            raise DataError("no rows came to this metric: it has no value. Call update() first.")
        return self.mean

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {_short(self.mean)} +- {_short(self.stderr)} of {self.rows} rows>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        interval = self.interval
        return {
            "mean": self.mean,
            "rows": self.rows,
            "stddev": self.stddev,
            "stderr": self.stderr,
            "interval": None if interval is None else {**interval.to_dict(), "estimates": FURTHER_DATA},
            "min": self.state.sums.smallest if self.rows else None,
            "max": self.state.sums.largest if self.rows else None,
            "repeated": self.repeated,
            "disagreement": self.disagreement,
            "digest": self.digest,
        }


@frozen(repr=False)
class LossValue(Value):
    """A mean loss in nats, with how the rows were classified."""

    @property
    def loss(self) -> float | None:
        """The mean loss, None without rows."""
        return self.mean

    @property
    def loss_sum(self) -> float:
        """Sum of the losses."""
        return self.state.sums.total

    @property
    def correct(self) -> int:
        """Rows whose largest output is at the true class; of soft targets, at their largest entry."""
        return sum(one.correct for one in self.state.classes)

    @property
    def accuracy(self) -> float | None:
        """correct / rows, None without rows."""
        return self.correct / self.rows if self.rows else None

    @property
    def accuracy_interval(self) -> Interval | None:
        """Where the accuracy on further data lies, at 95 %: Clopper and Pearson's. None without rows."""
        return accuracy_interval(self.correct, self.rows, level=LEVEL) if self.rows else None

    def __repr__(self) -> str:
        accuracy = _short(self.accuracy)
        return f"<LossValue: loss {_short(self.loss)} +- {_short(self.stderr)}, accuracy {accuracy}, {self.rows} rows>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the names of a `Report`."""
        found = Value.to_dict(self)
        del found["mean"]
        band = self.accuracy_interval
        sums = self.state.sums
        return {
            "loss": self.loss,
            "loss_sum": self.loss_sum,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval": None if band is None else {**band.to_dict(), "estimates": FURTHER_DATA},
            **found,
            "per_class": [
                {"class": k, "rows": one.rows, "loss": one.loss, "accuracy": one.accuracy}
                for k, one in enumerate(self.state.classes)
            ],
            "worst": [{"row": row, "loss": loss} for loss, row in sums.worst],
        }


@frozen(repr=False)
class AccuracyValue(Value):
    """A share of right rows."""

    @property
    def correct(self) -> int:
        """Right rows."""
        return int(Fraction(self.state.sums.units, UNITS))

    @property
    def accuracy(self) -> float | None:
        """correct / rows, None without rows."""
        return self.correct / self.rows if self.rows else None

    def interval_at(self, level: float) -> Interval | None:
        """Clopper and Pearson's, which holds for any number of independent rows. None without rows."""
        return accuracy_interval(self.correct, self.rows, level=level) if self.rows else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        found = Value.to_dict(self)
        for name in ("mean", "min", "max", "disagreement"):
            del found[name]
        return {"accuracy": self.accuracy, "correct": self.correct, **found}


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"
