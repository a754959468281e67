"""What came of consecutive rows: their state, and a digest for each whole block of 65,536 of them.

Knows rows by their place in the selection. Does not know how a row is read or scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.consistency import check_state
from streameval.evaluation.state import State, fold_classes, fold_losses
from streameval.scoring.scorer import Scores
from streameval.storage.source import Span

# 40 million rows are 611 blocks, 40 kB of digests in a report.
BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Tally:
    """The exact result of the rows in `span`; `+` joins it with that of the rows that follow.

    span     places start <= place < stop in the selection
    state    the exact sums
    digests  of the blocks that lie wholly in `span`, in order
    partial  (block, state) of the at most two blocks that lie in `span` in part
    """

    span: Span
    state: State
    digests: tuple[str, ...] = ()
    partial: tuple[tuple[int, State], ...] = ()

    @classmethod
    def empty(cls, start: int, classes: int | None) -> Tally:
        """The tally of no rows, before the row at `place`."""
        return cls(Span(start, start), State.empty(classes))

    @classmethod
    def of(cls, span: Span, state: State) -> Tally:
        """The tally of rows that lie in one block."""
        block, whole = span.start // BLOCK_ROWS, len(span) == BLOCK_ROWS
        if not len(span):
            return cls(span, state)
        return cls(span, state, (state.digest,)) if whole else cls(span, state, (), ((block, state),))

    def __add__(self, other: Tally) -> Tally:
        if other.span.start != self.span.stop:
            raise DataError(
                f"rows {_text(other.span)} cannot be added to rows {_text(self.span)}: expected those from "
                f"{self.span.stop} on."
            )
        span = Span(self.span.start, other.span.stop)
        partial = dict(self.partial)
        for block, state in other.partial:
            partial[block] = partial[block] + state if block in partial else state
        # The block in which the two meet may be whole now.
        met, middle = self.span.stop // BLOCK_ROWS, tuple[str, ...]()
        if met in partial and span.start <= met * BLOCK_ROWS and (met + 1) * BLOCK_ROWS <= span.stop:
            middle = (partial.pop(met).digest,)
        digests = self.digests + middle + other.digests
        return Tally(span, self.state + other.state, digests, tuple(sorted(partial.items(), key=_block)))

    def blocks(self, total: int) -> tuple[str, ...] | None:
        """The digests of all blocks of `total` rows, the last one shorter; None if rows are missing here."""
        if self.span != Span(0, total):
            return None
        return self.digests + tuple(state.digest for _, state in self.partial)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing."""
        return {
            "start": self.span.start,
            "stop": self.span.stop,
            "state": self.state.to_dict(),
            "digests": list(self.digests),
            "partial": [[block, state.to_dict()] for block, state in self.partial],
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Tally:
        """What `to_dict` wrote. Raises DataError if it is damaged."""
        try:
            tally = cls(
                Span(int(stored["start"]), int(stored["stop"])),
                State.from_dict(stored["state"]),
                tuple(map(str, stored["digests"])),
                tuple((int(block), State.from_dict(state)) for block, state in stored["partial"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"a stored tally is damaged: {error!r}. Compute it again.") from error
        tally._check()
        return tally

    def _check(self) -> None:
        """Raise DataError if no rows come to this."""
        if not 0 <= self.span.start <= self.span.stop:
            raise DataError(f"a stored tally is of rows {_text(self.span)}. Compute it again.")
        check_state(self.state, len(self.span))
        start, stop = self.span.start, self.span.stop
        ends = {at // BLOCK_ROWS for at in (start, stop) if at % BLOCK_ROWS and start < stop}
        partial = {k: min((k + 1) * BLOCK_ROWS, stop) - max(k * BLOCK_ROWS, start) for k in sorted(ends)}
        whole = max(0, stop // BLOCK_ROWS - -(-start // BLOCK_ROWS))
        if len(self.digests) != whole or [block for block, _ in self.partial] != list(partial):
            raise DataError(f"a stored tally of rows {_text(self.span)} has other blocks. Compute it again.")
        for block, state in self.partial:
            check_state(state, partial[block])


def fold_tally(
    start: int, scores: Scores, rows: NDArray[np.int64], classes: int | None
) -> tuple[Tally, int | None]:
    """The tally of rows whose first one is at `place`, and the first row that was left out, or None.

    scores   of the rows · rows (n,) int64: their numbers · classes  None where they have none

    The rows are folded block by block.
    """
    total, first_left_out = Tally.empty(start, classes), None
    for span in in_blocks(Span(start, start + len(scores.loss))):
        here = slice(span.start - start, span.stop - start)
        sums, left_out = fold_losses(scores.loss[here], rows[here])
        classification = None
        if classes is not None and scores.target is not None and scores.predicted is not None:
            classification = fold_classes(
                scores.loss[here], scores.target[here], scores.predicted[here], classes
            )
        tally = Tally.of(span, State(sums, classification))
        total = total + tally if len(total.span) else tally
        first_left_out = left_out if first_left_out is None else first_left_out
    return total, first_left_out


def in_blocks(span: Span) -> Iterator[Span]:
    """Cut a span where blocks begin."""
    start = span.start
    while start < span.stop:
        stop = min((start // BLOCK_ROWS + 1) * BLOCK_ROWS, span.stop)
        yield replace(span, start=start, stop=stop)
        start = stop


def _block(pair: tuple[int, State]) -> int:
    return pair[0]


def _text(span: Span) -> str:
    return f"{span.start}:{span.stop}"
