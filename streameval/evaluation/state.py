"""What a pass over some rows comes to, exactly: integers that merge to the same bits in any order.

Knows counts, sums of losses in units of 2**-40 nats, extremes. Does not know where rows come from.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.counts import Counts

UNITS = 1 << 40
# Rows with the largest losses that a state remembers, and classes up to which it keeps a confusion matrix.
WORST = 10
CONFUSION_CLASSES = 1024


@dataclass(frozen=True, slots=True)
class ClassState:
    """Rows of one true class: how many, how many predicted right, their losses in units of 2**-40 nats."""

    rows: int = 0
    correct: int = 0
    units: int = 0

    def __add__(self, other: ClassState) -> ClassState:
        return ClassState(self.rows + other.rows, self.correct + other.correct, self.units + other.units)

    @property
    def loss(self) -> float | None:
        """Mean loss in nats, None without rows."""
        return mean(self.units, self.rows)

    @property
    def accuracy(self) -> float | None:
        """Share predicted right, None without rows."""
        return self.correct / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class State:
    """The exact result of a pass over a multiset of rows; `+` joins disjoint passes, `State.empty(c)` is zero.

    units          sum of rint(loss * 2**40)
    units_squared  sum of the squares of those integers
    classes        one ClassState for each true class
    confusion      rows by true (first) and predicted class; none for more than 1,024 classes
    smallest, largest   of the losses, in nats; inf and -inf without rows
    worst          (loss, row) of the ten largest losses; equal losses by row number
    left_out       rows whose loss is not finite, in none of the other fields
    """

    units: int
    units_squared: int
    classes: tuple[ClassState, ...]
    confusion: Counts
    smallest: float = math.inf
    largest: float = -math.inf
    worst: tuple[tuple[float, int], ...] = ()
    left_out: int = 0

    @classmethod
    def empty(cls, classes: int) -> State:
        """The state of no rows."""
        size = classes if classes <= CONFUSION_CLASSES else 0
        return cls(0, 0, (ClassState(),) * classes, Counts.zeros(size))

    def __add__(self, other: State) -> State:
        if len(self.classes) != len(other.classes):
            raise DataError(
                f"states of {len(self.classes)} and {len(other.classes)} classes cannot be joined."
            )
        return State(
            self.units + other.units,
            self.units_squared + other.units_squared,
            tuple(a + b for a, b in zip(self.classes, other.classes, strict=True)),
            self.confusion + other.confusion,
            min(self.smallest, other.smallest),
            max(self.largest, other.largest),
            tuple(sorted(self.worst + other.worst, key=lambda pair: (-pair[0], pair[1]))[:WORST]),
            self.left_out + other.left_out,
        )

    @property
    def rows(self) -> int:
        """Rows counted."""
        return sum(one.rows for one in self.classes)

    @property
    def correct(self) -> int:
        """Rows predicted right."""
        return sum(one.correct for one in self.classes)

    @property
    def loss_sum(self) -> float:
        """Sum of the losses in nats, the exact sum of units rounded once."""
        return float(Fraction(self.units, UNITS))

    @property
    def loss(self) -> float | None:
        """Mean loss in nats, None without rows."""
        return mean(self.units, self.rows)

    @property
    def stddev(self) -> float | None:
        """Standard deviation of the losses, divided by rows - 1; None for fewer than two rows."""
        n = self.rows
        if n < 2:
            return None
        return math.sqrt(Fraction(n * self.units_squared - self.units**2, n * (n - 1) * UNITS**2))

    @property
    def stderr(self) -> float | None:
        """stddev / sqrt(rows), None for fewer than two rows."""
        return None if self.stddev is None else self.stddev / math.sqrt(self.rows)

    @property
    def digest(self) -> str:
        """SHA-256 of everything above, in hexadecimal: equal bits for equal results, however they were cut."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing: floats in hexadecimal."""
        return {
            "units": self.units,
            "units_squared": self.units_squared,
            "classes": [[one.rows, one.correct, one.units] for one in self.classes],
            "confusion": self.confusion.to_list(),
            "smallest": self.smallest.hex(),
            "largest": self.largest.hex(),
            "worst": [[loss.hex(), row] for loss, row in self.worst],
            "left_out": self.left_out,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> State:
        """The state that `to_dict` wrote. Raises DataError if it is damaged."""
        try:
            return cls(
                int(stored["units"]),
                int(stored["units_squared"]),
                tuple(ClassState(*map(int, one)) for one in stored["classes"]),
                Counts(stored["confusion"]),
                float.fromhex(stored["smallest"]),
                float.fromhex(stored["largest"]),
                tuple((float.fromhex(loss), int(row)) for loss, row in stored["worst"]),
                int(stored["left_out"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"a stored state is damaged: {error!r}. Compute it again.") from error


def mean(units: int, rows: int) -> float | None:
    """The mean loss in nats of `rows` rows, rounded once; None without rows."""
    return float(Fraction(units, UNITS * rows)) if rows else None


def fold(
    loss: NDArray[np.float64],
    target: NDArray[np.int64],
    predicted: NDArray[np.int64],
    rows: NDArray[np.int64],
    classes: int,
) -> tuple[State, int | None]:
    """The state of some rows, and the first row that was left out because its loss is not finite, or None.

    All arrays (n,): losses in nats, true class, predicted class, row number.
    """
    from streameval.kernels import folding

    total: State | None = None
    left_out: int | None = None
    size = classes if classes <= CONFUSION_CLASSES else 0
    for start in range(0, len(loss), folding.MOST_ROWS):
        part = slice(start, start + folding.MOST_ROWS)
        sums = np.zeros(11, np.int64)
        by_class = np.zeros((classes, 4), np.int64)
        confusion = np.zeros((size, size), np.int64)
        extremes = np.array([math.inf, -math.inf])
        worst_loss, worst_row = np.full(WORST, -math.inf), np.full(WORST, -1, np.int64)
        folding.fold_rows(
            loss[part], target[part], predicted[part], rows[part],
            sums, by_class, confusion, extremes, worst_loss, worst_row,
        )  # fmt: skip
        if sums[folding.LEFT_OUT] and left_out is None:
            left_out = int(sums[folding.FIRST_LEFT_OUT])
        state = State(
            _wide(sums[folding.LOW], sums[folding.HIGH]),
            _squares([int(limb) for limb in sums[folding.AA : folding.CC + 1]]),
            tuple(ClassState(int(n), int(right), _wide(low, high)) for n, right, low, high in by_class),
            Counts(confusion),
            float(extremes[0]),
            float(extremes[1]),
            tuple((float(a), int(b)) for a, b in zip(worst_loss, worst_row, strict=True) if b >= 0),
            int(sums[folding.LEFT_OUT]),
        )
        total = state if total is None else total + state
    return State.empty(classes) if total is None else total, left_out


def _wide(low: Any, high: Any) -> int:
    return int(low) + (int(high) << 31)


def _squares(limbs: list[int]) -> int:
    aa, ab, ac, bc, cc = limbs
    return aa + (ab << 22) + (ac << 42) + (bc << 64) + (cc << 84)
