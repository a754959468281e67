"""What came of consecutive rows: their state, and a digest for each whole block of 65,536 of them.

Knows rows by their place in the selection. Does not know how a row is read or scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.consistency import Numbers, check_state
from streameval.evaluation.counts import Counts
from streameval.evaluation.fields import UNSOUND, integer, sha256, shown, told
from streameval.evaluation.identity import Identity
from streameval.evaluation.sealed import canonical
from streameval.evaluation.state import (
    Classification,
    ClassSums,
    LossSums,
    State,
    fold_classes,
    fold_losses,
)
from streameval.frozen import frozen
from streameval.scoring.scorer import Scores
from streameval.storage.source import Span

if TYPE_CHECKING:
    from streameval.evaluation.anatomizing import Anatomist
    from streameval.evaluation.anatomy import Anatomy

# 40 million rows are 611 blocks, about 700 kB of a report.
BLOCK_ROWS = 65_536
NO_TABLE = Counts(())


# Classes up to which a block keeps its table of predictions: of ten classes it is as much again as all else.
TABLE_CLASSES = 16


@frozen
class Block:
    """What came of one block of rows, so that the total can be told from its blocks.

    digest     of the block's state
    sums       of its losses, `classes` by true class; None and () of what an earlier version wrote
    confusion  rows by true and predicted class; none for more than 16 classes: then `digest` alone covers it
    """

    digest: str
    sums: LossSums | None = None
    classes: tuple[ClassSums, ...] = ()
    confusion: Counts = NO_TABLE

    @classmethod
    def of(cls, state: State) -> Block:
        """That of a block's state."""
        few = len(state.classes) <= TABLE_CLASSES
        return cls(state.digest, state.sums, state.classes, state.confusion if few else NO_TABLE)

    @property
    def state(self) -> State:
        """What is known of the block's state: without the table of predictions where there is none."""
        assert self.sums is not None
        return State(self.sums, Classification(self.classes, self.confusion) if self.classes else None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing."""
        classes = [[one.rows, one.correct, one.units] for one in self.classes]
        return {
            "digest": self.digest,
            "sums": None if self.sums is None else self.sums.to_dict(),
            "classes": classes,
            "confusion": self.confusion.to_list(),
        }

    @classmethod
    def from_dict(cls, stored: Any, rows: int, numbers: Numbers | None = None) -> Block:
        """What `to_dict` wrote of a block of `rows` rows, `numbers` as in `check_state`.

        Raises DataError if no rows can come to it.
        """
        digest = sha256(stored, "digest")
        if stored["sums"] is None:
            return cls(digest)
        classes = tuple(map(ClassSums.from_list, stored["classes"]))
        block = cls(digest, LossSums.from_dict(stored["sums"]), classes, Counts(stored["confusion"]))
        check_state(block.state, rows, numbers, table=len(classes) <= TABLE_CLASSES)
        if len(classes) <= TABLE_CLASSES and block.state.digest != digest:
            raise DataError("a stored block has another digest than what it comes to. Compute it again.")
        return block


def add_up(state: State, blocks: Iterable[Block]) -> bool:
    """Whether the blocks come to the state, as far as they say what they come to."""
    parts = list(blocks)
    if any(one.sums is None for one in parts):
        return True
    if any(len(one.classes) != len(state.classes) for one in parts):
        return False
    sums = sum((one.state.sums for one in parts), LossSums())
    nothing = (ClassSums(),) * len(state.classes)
    classes = tuple(reduce(add, one) for one in zip(nothing, *(one.classes for one in parts), strict=True))
    table = Counts.zeros(len(state.confusion))
    tables = [one.confusion for one in parts if len(one.confusion) == len(table)]
    known = len(tables) == len(parts)
    return (sums, classes) == (state.sums, state.classes) and (
        not known or reduce(add, tables, table) == state.confusion
    )


@frozen
class Places:
    """What numbers the rows at the places of a selection have.

    first  number of the row at place 0 where the rows are consecutive, None for a selection of others
    rows   of the data set, None where that is not known
    """

    first: int | None = None
    rows: int | None = None

    def numbers(self, span: Span) -> Numbers | None:
        """Those at the places `span`, None where nothing is known of them."""
        if self.first is not None:
            return Numbers(Span(self.first + span.start, self.first + span.stop))
        return None if self.rows is None else Numbers(Span(0, self.rows), again=True)


ANYWHERE = Places()


@frozen
class Tally:
    """The exact result of the rows in `span`; `+` joins it with that of the rows that follow.

    span     places start <= place < stop in the selection
    state    the exact sums
    whole    the blocks that lie wholly in `span`, in order
    partial  (block, state) of the at most two blocks that lie in `span` in part
    anatomy  what the losses are made of, None where nobody asked
    """

    span: Span
    state: State
    whole: tuple[Block, ...] = ()
    partial: tuple[tuple[int, State], ...] = ()
    anatomy: Anatomy | None = None

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
        anatomy = self.anatomy
        if not len(self.span) or not len(other.span):
            anatomy = self.anatomy or other.anatomy
        elif (anatomy is None) != (other.anatomy is None):
            raise DataError("rows with an anatomy and rows without one cannot be joined.")
        elif anatomy is not None and other.anatomy is not None:
            anatomy += other.anatomy
        return Tally(
            span, self.state + other.state, whole, tuple(sorted(partial.items(), key=_block)), anatomy
        )

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
            **({} if self.anatomy is None else {"anatomy": self.anatomy.to_dict()}),
        }

    @classmethod
    def from_dict(cls, stored: Any, places: Places = ANYWHERE, *, earlier: bool = False) -> Tally:
        """What `to_dict` wrote. Raises DataError if it is damaged, or no rows can come to it.

        places   what numbers the rows have · earlier  whether an earlier version wrote it, which kept digests alone of
                 its blocks
        """
        try:
            span = Span(integer(stored, "start", least=0), integer(stored, "stop", least=0))
            tally = cls(
                span,
                State.from_dict(stored["state"]),
                _stored_digests(stored) if earlier else _stored_blocks(stored, span, places),
                tuple((integer([k], 0), State.from_dict(state)) for k, state in stored["partial"]),
                _stored_anatomy(stored),
            )
        except UNSOUND as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"a stored tally is damaged ({told(error)}). Compute it again.") from error
        tally._check(places)
        written = tally.to_dict()
        if earlier:
            written["digests"] = [one["digest"] for one in written.pop("blocks")]
        if canonical(written) != canonical(stored):
            raise DataError("a stored tally says more, or other, than a tally does. Compute it again.")
        return tally

    def _check(self, places: Places) -> None:
        """Raise DataError if no rows come to this."""
        start, stop = self.span.start, self.span.stop
        if start > stop:
            raise DataError(f"a stored tally is of rows {_text(self.span)}. Compute it again.")
        numbers = places.numbers(self.span)
        check_state(self.state, len(self.span), numbers)
        if self.anatomy is not None:
            from streameval.evaluation.anatomy_consistency import check_anatomy

            check_anatomy(self.anatomy, self.state, numbers)
        ends = {at // BLOCK_ROWS for at in (start, stop) if at % BLOCK_ROWS and start < stop}
        partial = {k: Span(max(k * BLOCK_ROWS, start), min((k + 1) * BLOCK_ROWS, stop)) for k in sorted(ends)}
        if len(self.whole) != len(_whole_blocks(self.span)) or [k for k, _ in self.partial] != list(partial):
            raise DataError(f"a stored tally of rows {_text(self.span)} has other blocks. Compute it again.")
        for block, state in self.partial:
            check_state(state, len(partial[block]), places.numbers(partial[block]))
        if not add_up(self.state, [*self.whole, *(Block.of(state) for _, state in self.partial)]):
            raise DataError(
                f"a stored tally of rows {_text(self.span)} is not the sum of its blocks. Compute it again."
            )


def _whole_blocks(span: Span) -> range:
    """The numbers of the blocks that lie wholly in the span."""
    return range(-(-span.start // BLOCK_ROWS), max(-(-span.start // BLOCK_ROWS), span.stop // BLOCK_ROWS))


def _stored_anatomy(stored: dict[str, Any]) -> Anatomy | None:
    if "anatomy" not in stored:
        return None
    from streameval.evaluation.anatomy import Anatomy

    return Anatomy.from_dict(stored["anatomy"])


def _stored_digests(stored: Any) -> tuple[Block, ...]:
    return tuple(Block(sha256(stored["digests"], k)) for k in range(len(stored["digests"])))


def _stored_blocks(stored: Any, span: Span, places: Places) -> tuple[Block, ...]:
    spans = [Span(k * BLOCK_ROWS, (k + 1) * BLOCK_ROWS) for k in _whole_blocks(span)[: len(stored["blocks"])]]
    if len(spans) != len(stored["blocks"]):
        raise ValueError(f"{len(stored['blocks'])} whole blocks")
    return tuple(
        Block.from_dict(one, BLOCK_ROWS, places.numbers(rows))
        for one, rows in zip(stored["blocks"], spans, strict=True)
    )


def stored_tallies(stored: Any, identity: Identity, rows: int, *, earlier: bool) -> list[Tally]:
    """The tallies of a pass with this identity over a data set of `rows` rows, as a file has them.

    earlier  whether the file is of an earlier version: see `Tally.from_dict`

    Raises what a content of another form may raise, and DataError if no rows can come to them.
    """
    if not isinstance(stored, list):
        raise TypeError(f"tallies are {shown(stored)}")
    places, tallies = Places(identity.first(), rows), []
    for k in range(len(stored)):
        tally = Tally.from_dict(stored[k], places, earlier=earlier)
        if tally.span.stop > identity.total:
            raise DataError(
                f"a stored tally of rows {_text(tally.span)} of {identity.total}. Compute it again."
            )
        if tally.state.sums.left_out and not identity.nonfinite:
            raise DataError("a stored tally leaves rows out that were not allowed to be. Compute it again.")
        if len(tally.span):
            _check_taken_apart(tally, identity.anatomy)
        tallies.append(tally)
    return tallies


def _check_taken_apart(tally: Tally, named: str) -> None:
    """Raise DataError unless the losses are taken apart as those of the pass are, `Identity.anatomy`."""
    anatomy = tally.anatomy
    if anatomy is None:
        fits, found = not named, "no anatomy"
    else:
        from streameval.evaluation.anatomy import name_of

        fits = named == name_of(anatomy.column, named[-64:])
        found = name_of(anatomy.column, "...")
    if not fits:
        raise DataError(
            f"a stored tally of rows {_text(tally.span)} has {found}, expected {shown(named) if named else 'none'}, "
            "as its pass has. Compute it again."
        )


def fold_tally(
    start: int,
    scores: Scores,
    rows: NDArray[np.int64] | range,
    classes: int | None,
    anatomist: Anatomist | None = None,
) -> tuple[Tally, int | None]:
    """The tally of rows whose first one is at `place`, and the first row that was left out, or None.

    scores   of the rows · rows (n,) int64, or a range: their numbers · classes  None where they have none
    anatomist  takes the losses apart, None where nobody asked

    The rows are folded block by block.
    """
    total, first_left_out = None, None
    for span in in_blocks(Span(start, start + len(scores.loss))):
        here = slice(span.start - start, span.stop - start)
        sums, left_out = fold_losses(scores.loss[here], rows[here])
        classification = None
        if classes is not None and scores.target is not None and scores.predicted is not None:
            classification = fold_classes(
                scores.loss[here], scores.target[here], scores.predicted[here], classes
            )
        tally = Tally.of(span, State(sums, classification))
        total = tally if total is None else total + tally
        first_left_out = left_out if first_left_out is None else first_left_out
    if total is None:
        total = Tally.empty(start, classes)
    if anatomist is not None:
        total = replace(total, anatomy=anatomist.of(scores, np.asarray(rows)))
    return total, first_left_out


def in_blocks(span: Span) -> Iterator[Span]:
    """Cut a span where blocks begin."""
    start = span.start
    while start < span.stop:
        stop = min((start // BLOCK_ROWS + 1) * BLOCK_ROWS, span.stop)
        yield Span(start, stop)
        start = stop


def _block(pair: tuple[int, State]) -> int:
    return pair[0]


def _text(span: Span) -> str:
    return f"{span.start}:{span.stop}"
