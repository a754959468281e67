"""Which rows an evaluation is about: all, a span, or given row numbers with repeats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer, is_masked
from streameval.errors import UsageError
from streameval.storage.source import Chunk, Source, Span

# What may be given as `rows`: a span, slice or range, a boolean mask, or row numbers.
Rows = Span | slice | range | Sequence[int] | NDArray[Any] | None
CHUNK_ROWS = 16384


def selected(rows: Rows, source: Source) -> Span | NDArray[np.int64]:
    """`rows` as a span or as row numbers, checked against the source.

    None is all rows. A boolean mask has one entry for each row. Row numbers count from 0, may repeat and come in
    any order. Raises UsageError if a row is not there.
    """
    if rows is None:
        return Span(0, source.rows)
    if isinstance(rows, Span):
        return _inside(Span(integer("rows.start", rows.start), integer("rows.stop", rows.stop)), source)
    if isinstance(rows, slice):
        rows = range(source.rows)[rows]
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


def chunks(source: Source, rows: Span | NDArray[np.int64], chunk_rows: int) -> Iterator[Chunk]:
    """Yield the selected rows as chunks of at most `chunk_rows` rows, in order."""
    chunk_rows = integer("chunk_rows", chunk_rows, least=1)
    if isinstance(rows, Span):
        yield from source.chunks(rows, chunk_rows)
        return
    for start in range(0, len(rows), chunk_rows):
        yield source.take(rows[start : start + chunk_rows])


def row_numbers(chunk: Chunk) -> NDArray[np.int64]:
    """The chunk's row numbers as (n,) int64."""
    rows = chunk.rows
    return np.arange(rows.start, rows.stop) if isinstance(rows, range) else np.asarray(rows, np.int64)


def _inside(span: Span, source: Source) -> Span:
    if not 0 <= span.start <= span.stop <= source.rows:
        raise UsageError(
            f"rows {span.start}:{span.stop}, but {source.name} has {source.rows} rows, counted from 0. "
            f"Ask for rows within 0:{source.rows}."
        )
    return span
