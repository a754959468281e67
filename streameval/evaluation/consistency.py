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


def check_state(state: State, rows: int) -> None:
    """Raise DataError, with the first contradiction, if no `rows` rows come to this state."""
    for said in _contradictions(state, rows):
        raise DataError(f"a stored state cannot be that of {rows} rows: {said}. Compute it again.")


def _contradictions(state: State, rows: int) -> Iterator[str]:
    sums = state.sums
    if min(sums.rows, sums.left_out) < 0 or sums.rows + sums.left_out != rows:
        yield f"{sums.rows} rows and {sums.left_out} left out"
    elif sums.rows == 0:
        if sums != LossSums(left_out=sums.left_out):
            yield "sums or extremes of no rows"
    else:
        yield from _of_sums(sums)
    if state.classification is not None:
        yield from _of_classes(state.classification, sums)


def _of_sums(sums: LossSums) -> Iterator[str]:
    if not -LARGEST_LOSS < sums.smallest <= sums.largest < LARGEST_LOSS:
        yield f"a smallest loss of {sums.smallest} and a largest of {sums.largest}"
        return
    least, most = _units(sums.smallest), _units(sums.largest)
    if not least * sums.rows <= sums.units <= most * sums.rows:
        yield f"a sum that losses from {sums.smallest} to {sums.largest} cannot have"
    if not sums.units**2 <= sums.rows * sums.units_squared <= sums.rows**2 * max(least**2, most**2):
        yield "a sum of squares that these losses cannot have"
    losses = [loss for loss, _ in sums.worst]
    if len(losses) != min(sums.rows, WORST) or losses[0] != sums.largest or min(losses) < sums.smallest:
        yield f"{len(losses)} worst rows from {max(losses, default=None)} on"
    if list(sums.worst) != sorted(sums.worst, key=lambda pair: (-pair[0], pair[1])):
        yield "worst rows that are not in order"


def _of_classes(classification: Classification, sums: LossSums) -> Iterator[str]:
    classes, matrix = classification.classes, classification.confusion.to_list()
    if sum(one.rows for one in classes) != sums.rows or sum(one.units for one in classes) != sums.units:
        yield "classes that do not add up to all rows"
    if any(not 0 <= one.correct <= one.rows or (one.rows == 0 and one.units) for one in classes):
        yield "a class with more right than it has rows"
    if len(matrix) != confusion_size(len(classes)) or any(min(row) < 0 for row in matrix):
        yield "a table of true and predicted classes of another form"
    elif matrix and any(
        (sum(row), row[k]) != (one.rows, one.correct)
        for k, (row, one) in enumerate(zip(matrix, classes, strict=True))
    ):
        yield "a table of true and predicted classes that contradicts the classes"


def _units(loss: float) -> int:
    """A loss as it counts; see `kernels.folding`."""
    return round(loss * UNITS)
