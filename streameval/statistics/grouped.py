"""Reading whole groups of rows, drawn at random, until the mean of all rows is known. Knows row numbers, not files.

For data where a group - a document, a file, a writer - is read or had as a whole. A group's rows may be alike in any
way: the draw is what is random.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds
from streameval.statistics.clusters import finite, group_codes
from streameval.statistics.intervals.betting import PRIOR
from streameval.statistics.seeds import generator, recorded
from streameval.statistics.sequences import Sequence, sequence
from streameval.statistics.until import FAR, FIRST_LOOK, NEAR, Read, Step, StoppingResult

BOUNDED = (
    "Whole groups are read, each draw taking the group of a random row, and no loss is out of bounds; rows of one "
    "group may be alike in any way."
)
ASSUMES = {
    "betting": BOUNDED,
    "predictable": BOUNDED,
    "asymptotic": (
        "Whole groups are read, each draw taking the group of a random row, and those drawn before the first look (500 "
        "and more) show what the others are like; where groups of huge losses are so few that these hold none, it "
        "misses far more often than it says."
    ),
}


@frozen
class GroupsRead:
    """How many groups there are, how many of them were read, and how many draws that took, repeats counted."""

    groups: int
    read: int
    draws: int


def grouped_until(
    read: Read,
    groups: Any,
    *,
    half_width: float,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    bounds: Bounds | None,
    method: str = "betting",
    on_step: Callable[[Step], None] | None = None,
) -> tuple[StoppingResult, GroupsRead]:
    """Draw groups, and read each whole, until the mean loss of all rows is known to +- half_width; then stop.

        y_i = mean loss of the group of a row drawn from all N with replacement,      E y_i = mean of all rows

    read        row numbers (n,) int64 -> their losses (n,); asked once for every row of a group
    groups      (N,) one for each row
    others      as for `until`

    A large group is drawn the more often, so that no group's size has to be corrected for, and every y_i lies within
    the bounds of one loss: the sequences of independent draws hold, at every look, with probability `level` over the
    draw. A group that is drawn again costs nothing. When every group was read, or as many were drawn as there are rows
    (the others are read then), the mean is exact. `rows_read` counts the rows of the groups drawn up to the stop.

    Raises UsageError, DataError.
    """
    codes, count = group_codes(groups)
    if len(codes) == 0:
        raise UsageError("groups of 0 rows: at least one row was expected.")
    known = sequence(method, None, half_width=half_width, level=level, bounds=bounds, prior=PRIOR)
    drawing = _Drawing(read, codes, count, generator(seed))
    step = None
    for step in _steps(drawing, known, half_width):
        if on_step is not None:
            on_step(step)
    assert step is not None
    exhausted = step.rows_read == len(codes)
    there = int(np.count_nonzero(drawing.sizes))
    seen = there if exhausted else drawing.distinct(drawing.stopped)
    return StoppingResult(
        step.loss, step.low, step.high, step.half_width, level, step.rows_read, drawing.fetched, step.fraction, method,
        "exhausted" if exhausted else "precision", ASSUMES[method], recorded(seed),
    ), GroupsRead(there, seen, drawing.stopped)  # fmt: skip


def _steps(drawing: _Drawing, known: Sequence, half_width: float) -> Iterator[Step]:
    """What is known at every look, as far apart as those of `until`."""
    part = FAR
    while True:
        before = known.fed
        after = max(FIRST_LOOK, before + math.ceil(before / part))
        known.feed(drawing.means(after)[before:])
        stop = known.stop(before)
        draws = after if stop is None else stop
        drawing.stopped = draws
        if drawing.rows(draws) == drawing.total or (stop is None and after >= drawing.total):
            mean = drawing.exact()
            yield Step(drawing.total, 1.0, mean, mean, mean)
            return
        step = Step(drawing.rows(draws), drawing.rows(draws) / drawing.total, *known.at(draws))
        if known.shown(draws):
            yield step
        if stop is not None:
            return
        part = FAR if step.half_width > 2.0 * half_width else NEAR


class _Drawing:
    """Groups drawn so far, in order, and the mean loss of each that was read.

    stopped  the draw at which reading stopped
    """

    def __init__(self, read: Read, codes: NDArray[np.int64], count: int, stream: np.random.Generator) -> None:
        self._read, self._codes, self._stream = read, codes, stream
        self._order = np.argsort(codes, kind="stable")
        self.sizes = np.bincount(codes, minlength=count)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        # Numbers without a row are no groups.
        self._means = np.full(count, np.nan)
        self._drawn = np.empty(0, np.int64)
        self.total, self.fetched, self.stopped = len(codes), 0, 0

    def means(self, draws: int) -> NDArray[np.float64]:
        """The mean losses of the groups of the first so many draws, (draws,)."""
        rows = self._stream.integers(0, self.total, draws - len(self._drawn))
        self._drawn = np.concatenate([self._drawn, self._codes[rows]])
        self._fetch(np.unique(self._drawn))
        return self._means[self._drawn]

    def rows(self, draws: int) -> int:
        """How many rows the groups of the first so many draws have."""
        return int(self.sizes[np.unique(self._drawn[:draws])].sum())

    def distinct(self, draws: int) -> int:
        """How many groups those are."""
        return len(np.unique(self._drawn[:draws]))

    def exact(self) -> float:
        """The mean loss of all rows: the groups that are left are read."""
        there = np.flatnonzero(self.sizes)
        self._fetch(there)
        return math.fsum(self._means[there] * self.sizes[there]) / self.total

    def _fetch(self, groups: NDArray[np.int64]) -> None:
        wanted = groups[np.isnan(self._means[groups])]
        if len(wanted) == 0:
            return
        rows = np.concatenate([self._order[self._starts[k] : self._starts[k + 1]] for k in wanted])
        losses = finite(self._read(rows), "losses", 0)
        if losses.shape != rows.shape:
            raise UsageError(
                f"read: {len(rows)} rows were asked for, losses of shape {losses.shape} came back."
            )
        sizes = self.sizes[wanted]
        begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        means = np.add.reduceat(losses, begins) / sizes
        # Rounding must not carry the mean of equal losses past the largest there can be.
        self._means[wanted] = np.clip(
            means, np.minimum.reduceat(losses, begins), np.maximum.reduceat(losses, begins)
        )
        self.fetched += len(rows)
