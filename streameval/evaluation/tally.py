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
from streameval.evaluation.state import ClassSums, LossSums, State, fold_classes, fold_losses
from streameval.scoring.scorer import Scores
from streameval.storage.source import Span

# 40 million rows are 611 blocks, about 700 kB of a report.
BLOCK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Block:
    """What came of one block of rows, so that the total can be told from its blocks.

    digest   of the block's state
    sums     of its losses, `classes` by true class: all of the state but the table of predictions, which `digest`
             covers; None and () of what an earlier version wrote
    """

    digest: str
    sums: LossSums | None = None
    classes: tuple[ClassSums, ...] = ()

    @classmethod
    def of(cls, state: State) -> Block:
        """That of a block's state."""
        return cls(state.digest, state.sums, state.classes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing."""
        classes = [[one.rows, one.correct, one.units] for one in self.classes]
        return {
            "digest": self.digest,
            "sums": None if self.sums is None else self.sums.to_dict(),
            "classes": classes,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any], rows: int) -> Block:
        """What `to_dict` wrote of a block of `rows` rows. Raises DataError if no rows can come to it."""
        sums = None if stored["sums"] is None else LossSums.from_dict(stored["sums"])
        block = cls(
            str(stored["digest"]), sums, tuple(ClassSums(*map(int, one)) for one in stored["classes"])
        )
        if sums is not None:
            check_state(State(sums), rows)
        return block


@dataclass(frozen=True, slots=True)
class Tally:
    """The exact result of the rows in `span`; `+` joins it with that of the rows that follow.

    span     places start <= place < stop in the selection
    state    the exact sums
    whole    the blocks that lie wholly in `span`, in order
    partial  (block, state) of the at most two blocks that lie in `span` in part
    """

    span: Span
    state: State
    whole: tuple[Block, ...] = ()
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
        return cls(span, state, (Block.of(state),)) if whole else cls(span, state, (), ((block, state),))

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
        met, middle = self.span.stop // BLOCK_ROWS, tuple[Block, ...]()
        if met in partial and span.start <= met * BLOCK_ROWS and (met + 1) * BLOCK_ROWS <= span.stop:
            middle = (Block.of(partial.pop(met)),)
        whole = self.whole + middle + other.whole
        return Tally(span, self.state + other.state, whole, tuple(sorted(partial.items(), key=_block)))

    def blocks(self, total: int) -> tuple[Block, ...] | None:
        """All blocks of `total` rows, the last one shorter; None if rows are missing here."""
        if self.span != Span(0, total):
            return None
        return self.whole + tuple(Block.of(state) for _, state in self.partial)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing."""
        return {
            "start": self.span.start,
            "stop": self.span.stop,
            "state": self.state.to_dict(),
            "blocks": [one.to_dict() for one in self.whole],
            "partial": [[block, state.to_dict()] for block, state in self.partial],
        }

    @classmethod
    def from_dict(cls, stored: Any) -> Tally:
        """What `to_dict` wrote. Raises DataError if it is damaged, or no rows can come to it."""
        try:
            tally = cls(
                Span(int(stored["start"]), int(stored["stop"])),
                State.from_dict(stored["state"]),
                _stored_blocks(stored),
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
        if len(self.whole) != whole or [block for block, _ in self.partial] != list(partial):
            raise DataError(f"a stored tally of rows {_text(self.span)} has other blocks. Compute it again.")
        for block, state in self.partial:
            check_state(state, partial[block])


def _stored_blocks(stored: dict[str, Any]) -> tuple[Block, ...]:
    if "blocks" not in stored:  # an earlier version kept digests alone
        return tuple(Block(str(digest)) for digest in stored["digests"])
    return tuple(Block.from_dict(one, BLOCK_ROWS) for one in stored["blocks"])


def stored_tallies(path: object, content: dict[str, Any]) -> list[Tally]:
    """The tallies in the content of a file. Raises DataError, naming the file, if they are damaged or impossible."""
    try:
        return [Tally.from_dict(one) for one in content["tallies"]]
    except (KeyError, TypeError, DataError) as error:
        raise DataError(
            f"{path}: {error if isinstance(error, DataError) else f'no tallies ({error!r}).'}"
        ) from error


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
