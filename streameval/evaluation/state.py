"""What a pass over some rows comes to, exactly: integers that merge to the same bits in any order.

Knows counts, sums of losses in units of 2**-40 nats, extremes; and beside them, where rows have classes, how they
were classified. Does not know where rows come from.
"""

from __future__ import annotations

import hashlib
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.counts import Counts
from streameval.evaluation.fields import UNSOUND, integer, told
from streameval.frozen import frozen

UNITS = 1 << 40
# Rows with the largest losses that a state remembers, and classes up to which it keeps a confusion matrix.
WORST = 10
# From so many nats on a loss does not count: see `kernels.folding`.
LARGEST_LOSS = float(1 << 22)
CONFUSION_CLASSES = 1024
# Numbers of rows that are consecutive: see `kernels.folding`.
_IN_ORDER = np.empty(0, np.int64)


@frozen
class LossSums:
    """The exact sums of the losses of a multiset of rows; `+` joins disjoint ones, `LossSums()` is zero.

    units          sum of rint(loss * 2**40)
    units_squared  sum of the squares of those integers
    smallest, largest   of the losses, in nats; inf and -inf without rows
    worst          (loss, row) of the ten largest losses; equal losses by row number
    left_out       rows whose loss is not finite, in none of the other fields
    """

    rows: int = 0
    units: int = 0
    units_squared: int = 0
    smallest: float = math.inf
    largest: float = -math.inf
    worst: tuple[tuple[float, int], ...] = ()
    left_out: int = 0

    def __add__(self, other: LossSums) -> LossSums:
        return LossSums(
            self.rows + other.rows,
            self.units + other.units,
            self.units_squared + other.units_squared,
            min(self.smallest, other.smallest),
            max(self.largest, other.largest),
            tuple(sorted(self.worst + other.worst, key=lambda pair: (-pair[0], pair[1]))[:WORST]),
            self.left_out + other.left_out,
        )

    @property
    def total(self) -> float:
        """Sum of the losses in nats, the exact sum of units rounded once."""
        return float(Fraction(self.units, UNITS))

    @property
    def mean(self) -> float | None:
        """Mean loss in nats, None without rows."""
        return mean(self.units, self.rows)

    @property
    def stddev(self) -> float | None:
        """Standard deviation of the losses, divided by rows - 1; None for fewer than two rows."""
        n = self.rows
        if n < 2:
            return None
        return math.sqrt(Fraction(n * self.units_squared - self.units**2, n * (n - 1) * UNITS**2))

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing: floats in hexadecimal."""
        return {
            "rows": self.rows,
            "units": self.units,
            "units_squared": self.units_squared,
            "smallest": self.smallest.hex(),
            "largest": self.largest.hex(),
            "worst": [[loss.hex(), row] for loss, row in self.worst],
            "left_out": self.left_out,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> LossSums:
        """What `to_dict` wrote."""
        return cls(
            integer(stored, "rows"),
            integer(stored, "units"),
            integer(stored, "units_squared"),
            float.fromhex(stored["smallest"]),
            float.fromhex(stored["largest"]),
            tuple((float.fromhex(loss), integer([row], 0)) for loss, row in stored["worst"]),
            integer(stored, "left_out"),
        )


@frozen
class ClassSums:
    """Rows of one true class: how many, how many predicted right, their losses in units of 2**-40 nats."""

    rows: int = 0
    correct: int = 0
    units: int = 0

    @classmethod
    def from_list(cls, stored: Any) -> ClassSums:
        """What is stored: [rows, correct, units]."""
        if len(stored) != 3:
            raise ValueError(f"sums of a class are {len(stored)} numbers, expected 3")
        return cls(*(integer(stored, k) for k in range(3)))

    def __add__(self, other: ClassSums) -> ClassSums:
        return ClassSums(self.rows + other.rows, self.correct + other.correct, self.units + other.units)

    @property
    def loss(self) -> float | None:
        """Mean loss in nats, None without rows."""
        return mean(self.units, self.rows)

    @property
    def accuracy(self) -> float | None:
        """Share predicted right, None without rows."""
        return self.correct / self.rows if self.rows else None


@frozen
class Classification:
    """How rows with classes were predicted; `+` joins, `Classification.empty(c)` is zero.

    classes    one ClassSums for each true class
    confusion  rows by true (first) and predicted class; none for more than 1,024 classes
    """

    classes: tuple[ClassSums, ...]
    confusion: Counts

    @classmethod
    def empty(cls, classes: int) -> Classification:
        """That of no rows."""
        return cls((ClassSums(),) * classes, Counts.zeros(confusion_size(classes)))

    def __add__(self, other: Classification) -> Classification:
        if len(self.classes) != len(other.classes):
            raise DataError(
                f"states of {len(self.classes)} and {len(other.classes)} classes cannot be joined."
            )
        return Classification(
            tuple(a + b for a, b in zip(self.classes, other.classes, strict=True)),
            self.confusion + other.confusion,
        )

    @property
    def correct(self) -> int:
        """Rows predicted right."""
        return sum(one.correct for one in self.classes)


@frozen
class State:
    """The exact result of a pass over a multiset of rows; `+` joins disjoint passes, `State.empty(c)` is zero.

    sums            of the losses
    classification  beside them, None where rows have no classes
    """

    sums: LossSums
    classification: Classification | None = None

    @classmethod
    def empty(cls, classes: int | None) -> State:
        """The state of no rows."""
        return cls(LossSums(), None if classes is None else Classification.empty(classes))

    def __add__(self, other: State) -> State:
        one, two = self.classification, other.classification
        if (one is None) != (two is None):
            raise DataError("a state with classes and one without cannot be joined.")
        return State(self.sums + other.sums, None if one is None or two is None else one + two)

    @property
    def rows(self) -> int:
        """Rows in the sums."""
        return self.sums.rows

    @property
    def loss(self) -> float | None:
        """Mean loss in nats, None without rows."""
        return self.sums.mean

    @property
    def classes(self) -> tuple[ClassSums, ...]:
        """The sums of each true class, none where rows have no classes."""
        return () if self.classification is None else self.classification.classes

    @property
    def confusion(self) -> Counts:
        """Rows by true and predicted class; none where rows have no classes, or more than 1,024."""
        return Counts(()) if self.classification is None else self.classification.confusion

    @property
    def digest(self) -> str:
        """SHA-256 of everything above, in hexadecimal: equal bits for equal results, however they were cut."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing. With classes, the rows are those of the classes, and not said again."""
        stored = self.sums.to_dict()
        if self.classification is None:
            return stored
        del stored["rows"]
        return stored | {
            "classes": [[one.rows, one.correct, one.units] for one in self.classification.classes],
            "confusion": self.classification.confusion.to_list(),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> State:
        """The state that `to_dict` wrote. Raises DataError if it is damaged."""
        try:
            if "classes" not in stored:
                return cls(LossSums.from_dict(stored))
            classes = tuple(map(ClassSums.from_list, stored["classes"]))
            sums = LossSums.from_dict(stored | {"rows": sum(one.rows for one in classes)})
            return cls(sums, Classification(classes, Counts(stored["confusion"])))
        except UNSOUND as error:
            raise DataError(f"a stored state is damaged ({told(error)}). Compute it again.") from error


def mean(units: int, rows: int) -> float | None:
    """The mean loss in nats of `rows` rows, rounded once; None without rows."""
    return float(Fraction(units, UNITS * rows)) if rows else None


def confusion_size(classes: int) -> int:
    """Rows and columns of the confusion matrix that is kept for so many classes."""
    return classes if classes <= CONFUSION_CLASSES else 0


def fold_losses(losses: NDArray[np.float64], rows: NDArray[np.int64] | range) -> tuple[LossSums, int | None]:
    """The sums of (n,) losses in nats of the rows numbered `rows` (n,), a range of consecutive ones or any, and the
    first row that was left out because its loss is not finite, or None."""
    from streameval.kernels import folding

    numbers, first = (_IN_ORDER, rows.start) if isinstance(rows, range) else (rows, 0)
    total, first_left_out = None, None
    for start in range(0, len(losses), folding.MOST_ROWS):
        part = slice(start, start + folding.MOST_ROWS)
        sums = np.zeros(10, np.int64)
        extremes = np.array([math.inf, -math.inf])
        worst_loss, worst_row = np.full(WORST, -math.inf), np.full(WORST, -1, np.int64)
        folding.fold_losses(losses[part], numbers[part], first + start, sums, extremes, worst_loss, worst_row)
        found = sums.tolist()
        smallest, largest = extremes.tolist()
        if found[folding.LEFT_OUT] and first_left_out is None:
            first_left_out = found[folding.FIRST_LEFT_OUT]
        part_of_it = LossSums(
            found[folding.ROWS],
            _wide(found[folding.LOW], found[folding.HIGH]),
            _squares(found[folding.AA : folding.CC + 1]),
            smallest,
            largest,
            tuple(pair for pair in zip(worst_loss.tolist(), worst_row.tolist(), strict=True) if pair[1] >= 0),
            found[folding.LEFT_OUT],
        )
        total = part_of_it if total is None else total + part_of_it
    return LossSums() if total is None else total, first_left_out


def fold_classes(
    losses: NDArray[np.float64], target: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> Classification:
    """How rows of (n,) losses were predicted, true and predicted class (n,); only finite losses count.

    Raises DataError for a class that is none of 0..classes - 1: the kernel writes where a class says.
    """
    from streameval.kernels import folding

    total, size = None, confusion_size(classes)
    outside = np.zeros(1, np.int64)
    for start in range(0, len(losses), folding.MOST_ROWS):
        part = slice(start, start + folding.MOST_ROWS)
        by_class, confusion = np.zeros((classes, 4), np.int64), np.zeros((size, size), np.int64)
        folding.fold_classes(losses[part], target[part], predicted[part], by_class, confusion, outside)
        if outside[0]:
            raise _no_class(losses, target, predicted, classes)
        sums = tuple(ClassSums(n, right, _wide(low, high)) for n, right, low, high in by_class.tolist())
        part_of_it = Classification(sums, Counts(confusion))
        # Most often there is one part, and a thousand classes take a while to add.
        total = part_of_it if total is None else total + part_of_it
    return Classification.empty(classes) if total is None else total


def compile_sums() -> None:
    """Have the kernels of this file compiled, or loaded."""
    losses, labels = np.zeros(1), np.zeros(1, np.int64)
    fold_losses(losses, range(1))
    fold_classes(losses, labels, labels, 1)


def _no_class(
    losses: NDArray[np.float64], target: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> DataError:
    """The error about a row whose loss counts, and whose true or predicted class is outside of 0..classes - 1."""
    counts = np.abs(losses) < LARGEST_LOSS
    name, numbers = "true", target
    outside = ((numbers < 0) | (numbers >= classes)) & counts
    if not outside.any():
        name, numbers = "predicted", predicted
        outside = ((numbers < 0) | (numbers >= classes)) & counts
    return DataError(
        f"a {name} class is {numbers[np.argmax(outside)]}, expected 0..{classes - 1}. Whoever computed these rows "
        "must give classes that the model has."
    )


def _wide(low: int, high: int) -> int:
    return low + (high << 31)


def _squares(limbs: list[int]) -> int:
    aa, ab, ac, bc, cc = limbs
    return aa + (ab << 22) + (ac << 42) + (bc << 64) + (cc << 84)
