"""Which rows an evaluation is about: all, a span, or given row numbers with repeats."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import describe_value, integer, is_masked
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.storage.source import Chunk, Source, Span

# What may be given as `rows`: a span, slice or range, a boolean mask, or row numbers.
Rows = Span | slice | range | Sequence[int] | NDArray[Any] | None


@frozen(eq=False)
class Selection:
    """Rows of a source in the order in which they are evaluated; parts of a pass are numbered by their place in it.

    rows  consecutive ones, or (n,) int64 row numbers, repeats kept
    """

    rows: Span | NDArray[np.int64]

    @classmethod
    def of(cls, rows: Rows, source: Source) -> Selection:
        """`rows` checked against the source.

        None is all rows. A boolean mask has one entry for each row. Row numbers count from 0, may repeat and come in
        any order. Raises UsageError if a row is not there.
        """
        return cls(_checked(rows, source))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def numbers_bytes(self) -> int:
        """Bytes of the row numbers that are held."""
        return 0 if isinstance(self.rows, Span) else self.rows.nbytes

    def is_all(self, source: Source) -> bool:
        """Whether these are all rows of the source, in order."""
        return self.rows == Span(0, source.rows) if isinstance(self.rows, Span) else False

    def within(self, span: Span) -> Selection:
        """The rows at the places `span` of the selection."""
        if isinstance(self.rows, Span):
            return Selection(Span(self.rows.start + span.start, self.rows.start + span.stop))
        return Selection(self.rows[span.start : span.stop])

    def tasks(self, spans: Iterable[Span]) -> Iterator[Task]:
        """What there is to compute at the places `spans` of the selection."""
        return (Task(span, self.within(span)) for span in spans)

    def numbers(self) -> NDArray[np.int64]:
        """The row numbers (n,) int64."""
        return np.arange(self.rows.start, self.rows.stop) if isinstance(self.rows, Span) else self.rows

    def chunks(self, source: Source, chunk_rows: int) -> Iterator[Chunk]:
        """Yield the rows as chunks of at most `chunk_rows` rows, in order."""
        if isinstance(self.rows, Span):
            yield from source.chunks(self.rows, chunk_rows)
            return
        for start in range(0, len(self.rows), chunk_rows):
            yield source.take(self.rows[start : start + chunk_rows])

    def name(self, source: Source) -> str:
        """A name that is equal only for equal selections: "all", "START:STOP", "sha256:..." over row numbers."""
        if isinstance(self.rows, Span):
            return "all" if self.is_all(source) else f"{self.rows.start}:{self.rows.stop}"
        return f"sha256:{hashlib.sha256(self.rows.astype('<i8', copy=False).tobytes()).hexdigest()}"


@frozen(eq=False)
class Task:
    """Rows to be computed: their places in a selection, and which rows they are."""

    span: Span
    rows: Selection


def numbering(chunk: Chunk) -> NDArray[np.int64] | range:
    """The chunk's row numbers (n,) int64; consecutive ones as a range, which takes no memory."""
    rows = chunk.rows
    return rows if isinstance(rows, range) and rows.step == 1 else row_numbers(chunk)


def row_numbers(chunk: Chunk) -> NDArray[np.int64]:
    """The chunk's row numbers as (n,) int64."""
    rows = chunk.rows
    return np.arange(rows.start, rows.stop) if isinstance(rows, range) else np.asarray(rows, np.int64)


def _checked(rows: Rows, source: Source) -> Span | NDArray[np.int64]:
    if rows is None:
        return Span(0, source.rows)
    if isinstance(rows, Span):
        return _inside(Span(integer("rows.start", rows.start), integer("rows.stop", rows.stop)), source)
    if isinstance(rows, slice):
        try:
            rows = range(source.rows)[rows]
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"rows: {describe_value(rows)}: {error}. Expected integers, the step not 0."
            ) from None
    if isinstance(rows, range) and rows.step == 1:
        return _inside(Span(rows.start, max(rows.start, rows.stop)), source)
    if is_masked(rows):
        raise UsageError("rows: some row numbers are masked. Give those that are not: rows.compressed().")
    numbers = np.asarray(rows)
    if numbers.dtype == bool:
        if numbers.shape != (source.rows,):
            raise UsageError(
                f"rows: a mask of shape {numbers.shape}, but {source.name} has {source.rows} rows: expected "
                f"({source.rows},)."
            )
        return np.flatnonzero(numbers).astype(np.int64)
    if numbers.size == 0:
        return np.empty(0, np.int64)
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise UsageError(
            f"rows: {numbers.dtype} of shape {numbers.shape}, expected row numbers (n,), a mask, a slice or a span."
        )
    outside = (numbers < 0) | (numbers >= source.rows)
    if outside.any():
        where = int(np.argmax(outside))
        raise UsageError(
            f"rows: number {where} is row {int(numbers[where])}, but {source.name} has {source.rows} rows, "
            f"counted from 0: expected 0..{source.rows - 1}."
        )
    return numbers.astype(np.int64)


def _inside(span: Span, source: Source) -> Span:
    if not 0 <= span.start <= span.stop <= source.rows:
        raise UsageError(
            f"rows {span.start}:{span.stop}, but {source.name} has {source.rows} rows, counted from 0. "
            f"Ask for rows within 0:{source.rows}."
        )
    return span
