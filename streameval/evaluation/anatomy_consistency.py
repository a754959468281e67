"""Whether a stored anatomy can be what came of some rows: every count against the others, and against their state.

As with `consistency`: what no rows could come to is refused here. How far a row's confidence and its Brier score go
together is not looked at, since that hangs on its target, which may be of any weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from streameval.arguments import BELOW_ZERO, SUM_SLACK
from streameval.errors import DataError
from streameval.evaluation.anatomy import (
    BINS,
    MOST_VALUES,
    Anatomy,
    Chances,
    Grid,
    Slice,
    cell_of,
    unit_edges,
)
from streameval.evaluation.consistency import Numbers, contradictions, units_of
from streameval.evaluation.fields import shown
from streameval.evaluation.state import UNITS, LossSums, State


def check_anatomy(anatomy: Anatomy, state: State, numbers: Numbers | None = None) -> None:
    """Raise DataError, with the first contradiction, unless it can be that of the rows of a state, itself checked.

    numbers  that the rows can have, None where nothing is known of them
    """
    for said in _contradictions(anatomy, state, numbers):
        raise DataError(f"an anatomy is not that of these rows: {said}. Compute it again.")


def _contradictions(anatomy: Anatomy, state: State, numbers: Numbers | None) -> Iterator[str]:
    yield from _of_grid(anatomy.grid, state.sums)
    if anatomy.chances is not None:
        yield from _of_chances(anatomy.chances, state)
        yield from _of_bins(anatomy.chances)
    if anatomy.slices is not None:
        yield from _of_slices(anatomy.slices, anatomy.grid, state, numbers)


def _of_grid(grid: Grid, sums: LossSums) -> Iterator[str]:
    cells = grid.ascending
    if (sum(n for _, n, _ in cells), sum(u for *_, u in cells)) != (sums.rows, sums.units):
        yield "its losses are other ones"
    elif cells:
        if (cells[0][0], cells[-1][0]) != (cell_of(sums.smallest), cell_of(sums.largest)):
            yield f"its cells are not those of losses from {sums.smallest} to {sums.largest}"
        yield from _of_worst(grid, sums)
        yield from _of_squares(grid, sums)


def _of_worst(grid: Grid, sums: LossSums) -> Iterator[str]:
    """The cells of the worst rows: above the last of them no others lie, and beside it none with a larger loss."""
    last, most = cell_of(sums.worst[-1][0]), units_of(sums.worst[-1][0])
    rows, units = Counter[int](), Counter[int]()
    for loss, _ in sums.worst:
        rows[cell_of(loss)] += 1
        units[cell_of(loss)] += units_of(loss)
    for k in sorted({*rows, *(cell for cell in grid.cells if cell >= last)}):
        n, u = grid.cells.get(k, (0, 0))
        n, u = n - rows[k], u - units[k]
        others = n >= 0 and unit_edges(k)[0] * n <= u <= most * n
        if not others or (k > last and n):
            yield f"cell {k} is not that of the worst rows"


def _of_squares(grid: Grid, sums: LossSums) -> Iterator[str]:
    """As in `consistency`: n integers from a to b with sum u have squares from u**2 / n to (a + b) u - n a b."""
    least = most = 0
    for k, n, u in grid.ascending:
        a, b = unit_edges(k)
        least, most = least - (-u * u // n), most + (a + b) * u - n * a * b
    if not least <= sums.units_squared <= most:
        yield "a sum of squares that its losses cannot have"


def _of_chances(chances: Chances, state: State) -> Iterator[str]:
    rows, classification = state.sums.rows, state.classification
    if chances.rows != rows:
        yield f"it has probabilities of {chances.rows} rows of {rows}"
    elif classification is None or chances.classes != len(classification.classes):
        yield f"it has probabilities of {chances.classes} classes, the rows have {len(state.classes)}"
    elif chances.top[0] != classification.correct:
        yield f"it has {chances.top[0]} right rows"
    elif list(chances.top) != sorted(chances.top) or chances.top[-1] > rows:
        yield f"right among the first classes are {shown(list(chances.top))} of {rows} rows"
    for said in contradictions(State(chances.brier), rows, worst=0):
        yield f"of Brier scores, {said}"
    if chances.brier.rows and chances.brier.smallest < 0.0:
        yield "a Brier score below zero"


def _of_bins(chances: Chances) -> Iterator[str]:
    """A bin has confidences between its ends, give or take a unit, and between what probabilities that sum to about 1
    can have as the largest."""
    low = Fraction(1 - Fraction(SUM_SLACK)) / chances.classes
    high = 1 + Fraction(SUM_SLACK) + chances.classes * Fraction(BELOW_ZERO)
    for k, one in enumerate(chances.bins):
        least = max(Fraction(k, BINS), low) * UNITS - 1
        most = (Fraction(k + 1, BINS) if k < BINS - 1 else high) * UNITS + 1
        if not (0 <= one.right <= one.rows and least * one.rows <= one.units <= most * one.rows):
            yield f"bin {k} of confidence is {shown([one.rows, one.right, one.units])}"
    found = [sum(one.rows for one in chances.bins), sum(one.right for one in chances.bins)]
    if found != [chances.rows, chances.top[0]]:
        yield f"the bins of confidence have {found[0]} rows, {found[1]} of them right"


def _of_slices(slices: dict[str, Slice], grid: Grid, state: State, numbers: Numbers | None) -> Iterator[str]:
    if len(slices) > MOST_VALUES:
        yield f"results by {len(slices)} values, of at most {MOST_VALUES}"
    for value, one in slices.items():
        for said in contradictions(State(one.sums), one.sums.rows, numbers):
            yield f"of the value {shown(value)}, {said}"
        if not (one.sums.rows and 0 <= one.correct <= one.sums.rows):
            yield f"of the value {shown(value)}, {one.correct} right rows of {one.sums.rows}"
    correct = 0 if state.classification is None else state.classification.correct
    parts = sum((one.sums for one in slices.values()), LossSums())
    if parts != replace(state.sums, left_out=0) or sum(one.correct for one in slices.values()) != correct:
        yield "the values do not add up to all rows"
    # A row has one value, and a loss that lies in its cell.
    worst = [{row for _, row in one.sums.worst} for one in slices.values()]
    if sum(map(len, worst)) != len(set().union(*worst)):
        yield "a row has two values"
    known = Counter(cell_of(loss) for one in slices.values() for loss, _ in one.sums.worst)
    if any(n > grid.cells.get(k, (0, 0))[0] for k, n in known.items()):
        yield "the worst rows of the values are not in its cells"
