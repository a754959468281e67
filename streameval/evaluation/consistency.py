"""Whether a stored state can be what came of some rows: every field against the others.

A seal tells that a file was not damaged, not that it is true. What no rows could come to is refused here; what some
rows could come to cannot be told from what these rows did come to without computing them again.
"""

from __future__ import annotations

from collections.abc import Iterator

from streameval.errors import DataError
from streameval.evaluation.state import (
    LARGEST_LOSS,
    UNITS,
    WORST,
    Classification,
    LossSums,
    State,
    confusion_size,
)
from streameval.frozen import frozen
from streameval.storage.source import Span


@frozen
class Numbers:
    """Which numbers rows can have: those in `span`, each once, or `again` where a selection may repeat them."""

    span: Span
    again: bool = False


def check_state(state: State, rows: int, numbers: Numbers | None = None, *, table: bool = True) -> None:
    """Raise DataError, with the first contradiction, if no `rows` rows come to this state.

    numbers  that the rows can have, None where nothing is known of them
    table    whether a table of true and predicted classes is asked for, where the classes are few enough for one
    """
    for said in contradictions(state, rows, numbers, table=table):
        raise DataError(f"a stored state cannot be that of {rows} rows: {said}. Compute it again.")


def contradictions(
    state: State, rows: int, numbers: Numbers | None = None, *, table: bool = True, worst: int = WORST
) -> Iterator[str]:
    """What speaks against `rows` rows having come to this state, the first of which is enough. See `check_state`.

    worst  how many of the largest losses are remembered
    """
    sums = state.sums
    if min(sums.rows, sums.left_out) < 0 or sums.rows + sums.left_out != rows:
        yield f"{sums.rows} rows and {sums.left_out} left out"
    elif sums.rows == 0:
        if sums != LossSums(left_out=sums.left_out):
            yield "sums or extremes of no rows"
    else:
        yield from _of_extremes(sums, worst)
        yield from _of_numbers(sums, numbers)
        yield from _of_sums(sums)
    if state.classification is not None:
        yield from _of_classes(state.classification, sums)
        if table or len(state.confusion):
            yield from _of_table(state.classification)


def _of_extremes(sums: LossSums, worst: int) -> Iterator[str]:
    losses = [loss for loss, _ in sums.worst]
    if not -LARGEST_LOSS < sums.smallest <= sums.largest < LARGEST_LOSS:
        yield f"a smallest loss of {sums.smallest} and a largest of {sums.largest}"
    elif (
        len(losses) != min(sums.rows, worst)
        or losses[:1] != [sums.largest][:worst]
        or not all(sums.smallest <= one for one in losses)
    ):
        yield f"{len(losses)} worst rows from {max(losses, default=None)} on"
    elif list(sums.worst) != sorted(sums.worst, key=lambda pair: (-pair[0], pair[1])):
        yield "worst rows that are not in order"


def _of_numbers(sums: LossSums, numbers: Numbers | None) -> Iterator[str]:
    losses = {row: loss for loss, row in sums.worst}
    if any(not 0 <= row < 2**63 or losses[row] != loss for loss, row in sums.worst):
        yield "a worst row without a number, or with two losses"
    elif numbers is not None and (
        (len(losses) < len(sums.worst) and not numbers.again)
        or not all(numbers.span.start <= row < numbers.span.stop for row in losses)
    ):
        yield f"worst rows that are not each one of {numbers.span.start}:{numbers.span.stop}"


def _of_sums(sums: LossSums) -> Iterator[str]:
    """The sums without the worst rows, or the largest, and, if others are left, the smallest: of n integers from
    `least` to `most`.

    Their sum u is from n least to n most; that of their squares s from u**2 / n (Cauchy and Schwarz) and from abs(u)
    to (least + most) u - n least most (the sum of (q - least) (most - q) is not negative), and as odd as u.
    """
    worst = [units_of(loss) for loss, _ in sums.worst] or [units_of(sums.largest)]
    least, most, n = units_of(sums.smallest), worst[-1], sums.rows - len(worst)
    u, s = sums.units - sum(worst), sums.units_squared - sum(q * q for q in worst)
    if n == 0 and least != most:
        yield f"a smallest loss of {sums.smallest} that none of them has"
    if n > 0:
        n, u, s = n - 1, u - least, s - least * least
    if not n * least <= u <= n * most:
        yield f"a sum that losses from {sums.smallest} to {sums.largest} cannot have"
    elif not max(abs(u), -(-u * u // max(n, 1))) <= s <= (least + most) * u - n * least * most or (u - s) % 2:
        yield "a sum of squares that these losses cannot have"


def _of_classes(classification: Classification, sums: LossSums) -> Iterator[str]:
    classes = classification.classes
    if sum(one.rows for one in classes) != sums.rows or sum(one.units for one in classes) != sums.units:
        yield "classes that do not add up to all rows"
    if any(not 0 <= one.correct <= one.rows or (one.rows == 0 and one.units) for one in classes):
        yield "a class with more right than it has rows"
    elif sums.rows:
        least, most = units_of(sums.smallest), units_of(sums.largest)
        if any(not one.rows * least <= one.units <= one.rows * most for one in classes):
            yield f"a class with a sum that losses from {sums.smallest} to {sums.largest} cannot have"
        elif sum(-(-one.units * one.units // one.rows) for one in classes if one.rows) > sums.units_squared:
            yield "sums of classes whose squares are more than all squares"


def _of_table(classification: Classification) -> Iterator[str]:
    classes, matrix = classification.classes, classification.confusion.to_list()
    if len(matrix) != confusion_size(len(classes)) or any(min(row) < 0 for row in matrix):
        yield "a table of true and predicted classes of another form"
    elif matrix and any(
        (sum(row), row[k]) != (one.rows, one.correct)
        for k, (row, one) in enumerate(zip(matrix, classes, strict=True))
    ):
        yield "a table of true and predicted classes that contradicts the classes"


def units_of(loss: float) -> int:
    """A loss as it counts; see `kernels.folding`."""
    return round(loss * UNITS)
