"""What losses and probabilities are made of, exactly and in fixed memory: integers that merge to the same bits.

Knows counts on fixed grids and exact sums. Does not know where rows come from: `anatomizing` counts them.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

from streameval.errors import DataError
from streameval.evaluation.fields import UNSOUND, integer, only, shown, text, told
from streameval.evaluation.sealed import canonical
from streameval.evaluation.state import LARGEST_LOSS, UNITS, LossSums, mean
from streameval.frozen import frozen
from streameval.statistics.quantiles import rank_of

# The grid of losses: 2**6 cells from one power of two to the next, from 2**-40 nats on, where a unit ends.
CELLS: Final = 64
SMALLEST: Final = 2.0**-40
LARGEST_CELL: Final = CELLS * (math.frexp(LARGEST_LOSS / SMALLEST)[1] - 1)
# A quantile is told as the middle of its cell, which is 1/64 of its lower end wide, or less.
RELATIVE: Final = 1.0 / (2 * CELLS)
# Bins of confidence, all as wide: 15, as C. Guo et al. (2017), "On calibration of modern neural networks", have them.
BINS: Final = 15
TOP: Final = (1, 2, 3, 5, 10)
QUANTILES: Final = (0.5, 0.9, 0.95, 0.99, 0.999)
WORST_SHARE: Final = 0.01
# Values of a column by which results are told apart: each has sums of its own.
MOST_VALUES: Final = 1000

Cell = tuple[int, int]


@frozen
class Grid:
    """Losses on a fixed logarithmic grid: cell -> (rows, sum in units of 2**-40). `+` joins.

    Cell 0 holds losses between -2**-40 and 2**-40; cell k > 0 those from edge(k) to edge(k + 1); cell -k the same below
    zero. The edges are numbers of seven bits, so that no logarithm decides.
    """

    cells: dict[int, Cell]

    def __add__(self, other: Grid) -> Grid:
        joined = dict(self.cells)
        for k, (rows, units) in other.cells.items():
            before = joined.get(k, (0, 0))
            joined[k] = before[0] + rows, before[1] + units
        return Grid(joined)

    @property
    def ascending(self) -> list[tuple[int, int, int]]:
        """(cell, rows, units) of each cell that has rows, the smallest losses first."""
        return [(k, *self.cells[k]) for k in sorted(self.cells)]

    def quantile(self, share: float, sums: LossSums) -> Quantile | None:
        """The least loss that a share of the rows do not pass, to `RELATIVE`; None without rows.

        sums  of the same rows, whose extremes are exact
        """
        if not sums.rows:
            return None
        rank, seen = rank_of(share, sums.rows), 0
        for k, rows, _ in self.ascending:
            seen += rows
            if seen >= rank:
                low, high = edges(k)
                low, high = max(low, sums.smallest), min(high, sums.largest)
                return Quantile(share, 0.5 * (low + high), low, high)
        raise DataError(f"a grid of {seen} rows for {sums.rows}. Compute it again.")

    def worst(self, share: float, sums: LossSums) -> Worst | None:
        """What part of the loss the worst rows have; None without rows, without a loss, or where losses are below zero.

        sums  of the same rows
        """
        least = -SMALLEST * sums.rows
        negative = sum(units for k, (_, units) in self.cells.items() if k < 0) / UNITS
        if not sums.rows or sums.units <= 0 or negative < min(least, -1e-6 * sums.total):
            return None
        wanted = max(1, math.floor(share * sums.rows * (1.0 + 1e-12)))
        left, whole = wanted, 0
        low = high = Fraction(0)
        for k, rows, units in reversed(self.ascending):
            if rows <= left:
                left, whole = left - rows, whole + units
                continue
            if left:
                # The largest of a cell's rows have at least their share of its sum, and no more than what the smallest
                # leave, nor than its edge allows.
                ends = [Fraction(end) * UNITS for end in edges(k)]
                low = Fraction(units * left, rows)
                high = min(left * ends[1], units - (rows - left) * ends[0])
            break
        shares = [float(min(Fraction(1), (whole + part) / sums.units)) for part in (low, max(low, high))]
        return Worst(share, wanted, shares[0], shares[1])

    def to_list(self) -> list[list[int]]:
        """As JSON."""
        return [list(one) for one in self.ascending]

    @classmethod
    def from_list(cls, stored: Any) -> Grid:
        """What `to_list` wrote; ValueError where no rows come to it."""
        cells = {}
        for one in stored:
            k, rows, units = (integer(one, place) for place in range(3))
            least, most = unit_edges(k)
            if len(one) != 3 or k in cells or rows < 1 or not least * rows <= units <= most * rows:
                raise ValueError(f"a cell of losses is {shown(one)}")
            cells[k] = rows, units
        return cls(cells)


@frozen
class Quantile:
    """A quantile of the losses: it lies between low and high, and loss is their middle."""

    share: float
    loss: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"share": self.share, "loss": self.loss, "low": self.low, "high": self.high}


@frozen
class Worst:
    """The rows with the largest losses: a `share` of all, that many `rows`; their part of the sum, between two ends."""

    share: float
    rows: int
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        part = 0.5 * (self.low + self.high)
        return {"share": self.share, "rows": self.rows, "of_loss": part, "low": self.low, "high": self.high}


@frozen
class Bin:
    """Rows of one bin of confidence: how many, how many right, the sum of their confidences in units of 2**-40."""

    rows: int = 0
    right: int = 0
    units: int = 0

    def __add__(self, other: Bin) -> Bin:
        return Bin(self.rows + other.rows, self.right + other.right, self.units + other.units)

    @property
    def confidence(self) -> float | None:
        """Mean probability of the predicted class, None without rows."""
        return mean(self.units, self.rows)

    @property
    def accuracy(self) -> float | None:
        """Share predicted right, None without rows."""
        return self.right / self.rows if self.rows else None


@frozen
class Chances:
    """What the probabilities of rows come to; `+` joins.

    classes  of them · brier: sums of sum_k (y_k - t_k)**2 a row
    top      rows whose true class is among the first k, for each k of `TOP` below classes
    bins     by confidence, `BINS` of equal width
    """

    classes: int
    brier: LossSums
    top: tuple[int, ...]
    bins: tuple[Bin, ...]

    @classmethod
    def empty(cls, classes: int) -> Chances:
        """Of no rows."""
        return cls(classes, LossSums(), (0,) * len(tops(classes)), (Bin(),) * BINS)

    def __add__(self, other: Chances) -> Chances:
        if self.classes != other.classes:
            raise DataError(f"probabilities of {self.classes} and {other.classes} classes cannot be joined.")
        return Chances(
            self.classes,
            self.brier + other.brier,
            tuple(a + b for a, b in zip(self.top, other.top, strict=True)),
            tuple(a + b for a, b in zip(self.bins, other.bins, strict=True)),
        )

    @property
    def rows(self) -> int:
        """Rows that were counted, those too whose targets weigh so much that their Brier score does not count."""
        return self.brier.rows + self.brier.left_out

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error: sum_b n_b / n |accuracy_b - confidence_b|; None without rows."""
        return sum(one.rows * _gap(one) for one in self.bins) / self.rows if self.rows else None

    @property
    def largest_gap(self) -> float | None:
        """The largest |accuracy_b - confidence_b|; None without rows."""
        return max((_gap(one) for one in self.bins if one.rows), default=None)

    @property
    def by_chance(self) -> float | None:
        """What the calibration error would be, on average and about, of probabilities that mean what they say: chance
        alone makes a gap of sqrt(2 / pi) sqrt(c (1 - c) / n) in a bin of n rows; None without rows."""
        total = 0.0
        for one in self.bins:
            c = min(1.0, one.confidence or 0.0)
            total += math.sqrt(2.0 / math.pi * c * (1.0 - c) * one.rows)
        return total / self.rows if self.rows else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing."""
        return {
            "classes": self.classes,
            "brier": self.brier.to_dict(),
            "top": list(self.top),
            "bins": [[one.rows, one.right, one.units] for one in self.bins],
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Chances:
        """What `to_dict` wrote; ValueError and the like where it did not. `check_anatomy` tells what rows come to."""
        only(stored, ("classes", "brier", "top", "bins"))
        classes = integer(stored, "classes", least=2)
        top = tuple(integer(stored["top"], k, least=0) for k in range(len(stored["top"])))
        bins = tuple(Bin(*(integer(one, k, least=0) for k in range(3))) for one in stored["bins"])
        if len(top) != len(tops(classes)) or len(bins) != BINS:
            raise ValueError(f"{len(top)} of the top and {len(bins)} bins of {classes} classes")
        return cls(classes, LossSums.from_dict(stored["brier"]), top, bins)


@frozen
class Slice:
    """The rows with one value of a column: sums of their losses, and how many are right."""

    sums: LossSums
    correct: int

    def __add__(self, other: Slice) -> Slice:
        return Slice(self.sums + other.sums, self.correct + other.correct)


@frozen
class Anatomy:
    """What the losses of rows are made of; `+` joins those of disjoint rows.

    grid      of the losses
    chances   of the probabilities, None where a model gives none
    column    by whose values results are told apart, None for none · slices: by value, as text
    """

    grid: Grid
    chances: Chances | None = None
    column: str | None = None
    slices: dict[str, Slice] | None = None

    def __add__(self, other: Anatomy) -> Anatomy:
        mine, theirs = (self.chances, self.column), (other.chances, other.column)
        if (mine[0] is None) != (theirs[0] is None) or mine[1] != theirs[1]:
            raise DataError(
                "anatomies of probabilities and of losses alone, or by other columns, cannot be joined."
            )
        slices = None
        if self.slices is not None and other.slices is not None:
            slices = dict(self.slices)
            for value, one in other.slices.items():
                slices[value] = slices[value] + one if value in slices else one
        chances = None if mine[0] is None or theirs[0] is None else mine[0] + theirs[0]
        return Anatomy(self.grid + other.grid, chances, self.column, slices)

    @property
    def rows(self) -> int:
        """Rows that were counted."""
        return sum(rows for rows, _ in self.grid.cells.values())

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing."""
        slices = None
        if self.slices is not None:
            slices = [[value, one.sums.to_dict(), one.correct] for value, one in sorted(self.slices.items())]
        return {
            "grid": self.grid.to_list(),
            "chances": None if self.chances is None else self.chances.to_dict(),
            "column": self.column,
            "slices": slices,
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Anatomy:
        """What `to_dict` wrote. Raises DataError where it did not; `check_anatomy` tells whether rows come to it."""
        try:
            only(stored, ("grid", "chances", "column", "slices"))
            chances = None if stored["chances"] is None else Chances.from_dict(stored["chances"])
            column = text(stored, "column", none=True)
            slices = None
            if stored["slices"] is not None:
                slices = {
                    str(value): Slice(LossSums.from_dict(sums), integer([correct], 0, least=0))
                    for value, sums, correct in stored["slices"]
                }
            if (column is None) != (slices is None):
                raise ValueError("a column without values, or values without a column")
            found = cls(Grid.from_list(stored["grid"]), chances, column, slices)
            if canonical(found.to_dict()) != canonical(stored):
                raise ValueError("it says more, or other, than an anatomy does")
            return found
        except UNSOUND as error:
            raise DataError(f"a stored anatomy is damaged ({told(error)}). Compute it again.") from error


def edges(cell: int) -> tuple[float, float]:
    """The two ends of a cell of the grid, the lower one first."""
    if cell == 0:
        return -SMALLEST, SMALLEST
    octave, place = divmod(abs(cell) - 1, CELLS)
    low, high = (math.ldexp(1.0 + step / CELLS, octave - 40) for step in (place, place + 1))
    return (low, high) if cell > 0 else (-high, -low)


def unit_edges(cell: int) -> tuple[int, int]:
    """The least and the most that a loss in a cell counts, in units of 2**-40. Raises ValueError beyond the grid."""
    if abs(cell) > LARGEST_CELL:
        raise ValueError(f"a cell of losses is {cell}, expected -{LARGEST_CELL} to {LARGEST_CELL}")
    low, high = edges(cell)
    return round(low * UNITS), round(high * UNITS)


def cell_of(loss: float) -> int:
    """The cell that a loss lies in, below `LARGEST_LOSS` in size."""
    size = abs(loss)
    if size < SMALLEST:
        return 0
    part, power = math.frexp(size / SMALLEST)
    cell = (power - 1) * CELLS + int((2.0 * part - 1.0) * CELLS) + 1
    return cell if loss > 0.0 else -cell


def name_of(column: str | None, told: str = "") -> str:
    """How losses are taken apart, for what parts of a pass must have in common.

    column  by whose values, None for none · told  the SHA-256 of the values of all rows
    """
    return "anatomy" if column is None else f"anatomy by {column[:100]} sha256:{told}"


def tops(classes: int) -> tuple[int, ...]:
    """The k for which rows are counted whose true class is among the k with the largest probabilities."""
    return tuple(k for k in TOP if k < classes)


def _gap(one: Bin) -> float:
    return abs(one.right - one.units / UNITS) / one.rows if one.rows else 0.0
