"""A data set whose rows are hashed as they are read, and given on from the very memory that was hashed.

Knows blocks and their hashes. Does not know formats, nor what is computed from the rows.

What a file was when it was opened, no look at its size and times tells for sure: pages that were dirty before, writes
within one tick of the clock, and a store behind a network leave no trace there. Bytes that were hashed do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import CHUNK_ROWS
from streameval.errors import DataError
from streameval.frozen import frozen
from streameval.storage.block_hashes import BLOCK_ROWS, fingerprint, hash_block
from streameval.storage.source import Chunk, Hashes, Source, Span
from streameval.storage.stored import row_numbers
from streameval.storage.wrapped import WrappedSource


@frozen
class Hashed:
    """What was hashed as it was read.

    rows      of the blocks, each once · blocks  how many
    recorded  whether each was compared with a hash that is recorded beside the data; else it was only compared with
              itself, where it was read again
    content   the fingerprint of what was read, None unless that was all rows
    """

    rows: int
    blocks: int
    recorded: bool
    content: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class CheckedSource(WrappedSource):
    """Rows of another source, a block at a time: read into memory of its own, hashed, compared, and only then given on.

    Fulfils `Source`. It holds one block: 16,384 rows, or what the data record hashes of. Rows that are picked by number
    cost the reading of their whole blocks, each time.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        listed = list(_blocks(source))
        self._blocks = [span for span, _ in listed]
        self._wanted = [hashes for _, hashes in listed]
        self._starts = np.array([span.start for span in self._blocks], np.int64)
        self._seen: dict[int, Hashes] = {}

    @property
    def unchecked(self) -> Source:
        """The source itself."""
        return self._source

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        """Yield chunks that tile `span` in order, none before its block was compared. They live until the next block.

        Raises DataError for a block that is not as recorded, or not as it was when it was read before; and the errors
        of the source.
        """
        if chunk_rows < 1 or not 0 <= span.start <= span.stop <= self.rows:
            yield from self._source.chunks(span, chunk_rows)  # which says what is wrong
            return
        buffer = np.empty(0, self.dtype)
        for number in self._numbers(span):
            block = self._blocks[number]
            if buffer.size < len(block) * self.features:
                buffer = np.empty(len(block) * self.features, self.dtype)
            t = self._read(number, buffer)
            for cut in Span(max(span.start, block.start), min(span.stop, block.stop)).cut(chunk_rows):
                first = cut.start - block.start
                offsets = np.arange(first, first + len(cut), dtype=np.int64) * self.features
                labels = t[first : first + len(cut)]
                yield Chunk(range(cut.start, cut.stop), buffer, offsets, self.features, labels)

    def take(self, rows: NDArray[np.int64]) -> Chunk:
        """Return exactly these rows, each from a whole block that was read and compared. Errors as in `chunks`."""
        wanted = row_numbers(self.name, rows, self.rows)
        if not len(wanted):
            return self._source.take(wanted)
        which = np.searchsorted(self._starts, wanted, side="right") - 1
        values, t = np.empty((len(wanted), self.features), self.dtype), None
        for number in np.unique(which).tolist():
            block, mine = self._blocks[number], np.flatnonzero(which == number)
            buffer = np.empty(len(block) * self.features, self.dtype)
            targets = self._read(number, buffer)
            t = np.empty((len(wanted), *targets.shape[1:]), targets.dtype) if t is None else t
            inside = wanted[mine] - block.start
            values[mine], t[mine] = buffer.reshape(-1, self.features)[inside], targets[inside]
        assert t is not None
        offsets = np.arange(len(wanted), dtype=np.int64) * self.features
        return Chunk(wanted, values.reshape(-1), offsets, self.features, t)

    def hashed(self) -> Hashed:
        """What was hashed until now.

        Raises DataError if all rows were, and are not those that the fingerprint is of, which another reading gave.
        """
        rows = sum(len(self._blocks[number]) for number in self._seen)
        recorded = bool(self._seen) and all(self._wanted[number] is not None for number in self._seen)
        content = None
        if rows == self.rows:
            # The recorded ones are what the fingerprint is made of, whatever the parts' sizes.
            again = fingerprint(self, (self._seen[number] for number in range(len(self._blocks))))
            content = self.fingerprint if recorded else again
            if not any(self._wanted) and self.fingerprint.startswith("sha256:") and again != self.fingerprint:
                raise DataError(
                    f"{self.name}: what was read has fingerprint {again}, but a reading before gave "
                    f"{self.fingerprint}. Let no one write to the data, and run again."
                )
        return Hashed(rows, len(self._seen), recorded, content)

    def hashes(self, rows: Span | NDArray[np.int64] | None = None) -> list[list[Any]]:
        """The hashes of blocks that nothing is recorded of, for `remember`: [block, features, targets].

        rows  only blocks in which some of these lie
        """
        numbers = self.numbers() if rows is None else self._numbers(rows)
        return [[one, *self._seen[one]] for one in numbers if one in self._seen and self._wanted[one] is None]

    def numbers(self) -> list[int]:
        """The blocks that were hashed."""
        return sorted(self._seen)

    def all_blocks(self) -> tuple[int, bool]:
        """How many blocks there are, and whether hashes are recorded of all."""
        return len(self._blocks), all(one is not None for one in self._wanted)

    def compared(self) -> int:
        """How many blocks were compared with what is recorded."""
        return sum(self._wanted[number] is not None for number in self._seen)

    def seen_elsewhere(self, rows: Span | NDArray[np.int64]) -> None:
        """Count the recorded blocks of these rows as seen: another process compared them, or an earlier run."""
        for number in self._numbers(rows):
            hashes = self._wanted[number]
            if hashes is not None:
                self._seen[number] = hashes

    def remember(self, hashes: Sequence[Sequence[Any]]) -> None:
        """Compare blocks with what another reading of the same data found, and count them as seen.

        Raises DataError where they differ already.
        """
        for number, *seen in hashes:
            if not 0 <= number < len(self._blocks):
                raise DataError(f"{self.name}: there is no block {number} of {len(self._blocks)}.")
            self._compare(number, (seen[0], seen[1]))

    def costs(self) -> tuple[int, int]:
        """See `Source`: a block is held, and what reading a chunk of it takes."""
        fixed, by_row = self._source.costs()
        width = (self.classes or 1) if self.soft else 1
        block = max(map(len, self._blocks), default=0) * (self.features * self.dtype.itemsize + 2 * 8 * width)
        return fixed + block + by_row * CHUNK_ROWS, 0

    def __repr__(self) -> str:
        return f"{self._source!r}, hashed as it is read"

    def _numbers(self, rows: Span | NDArray[np.int64]) -> Sequence[int]:
        """The blocks in which these rows lie, in order."""
        if not isinstance(rows, Span):
            numbers: list[int] = np.unique(np.searchsorted(self._starts, rows, side="right") - 1).tolist()
            return numbers
        if not len(rows):
            return range(0)
        ends = np.searchsorted(self._starts, [rows.start, rows.stop - 1], side="right") - 1
        return range(int(ends[0]), int(ends[1]) + 1)

    def _read(self, number: int, buffer: NDArray[Any]) -> NDArray[Any]:
        """Fill the buffer with the features of a block and return its targets, both compared."""
        block, at, targets = self._blocks[number], 0, []
        try:
            for chunk in self._source.chunks(block, CHUNK_ROWS):
                size = len(chunk) * self.features
                buffer[at : at + size] = chunk.x.reshape(-1)
                targets.append(chunk.t)
                at += size
        except DataError as error:
            if self._wanted[number] is None:
                raise
            # A flipped bit may make a label impossible: what is recorded was possible.
            raise type(error)(
                f"{error} It is among rows {block.start}:{block.stop}, which differ from what was recorded."
            ) from error
        t = np.concatenate(targets)
        self._compare(number, hash_block([(buffer[:at], t)]))
        return t

    def _compare(self, number: int, found: Hashes) -> None:
        wanted, block = self._wanted[number], self._blocks[number]
        expected = self._seen.get(number) if wanted is None else wanted
        for what, is_, was in zip(("features", "targets"), found, expected or found, strict=True):
            if is_ != was:
                how = "when they were read before" if wanted is None else "as recorded"
                raise DataError(
                    f"{self.name}, block {number}, rows {block.start}:{block.stop}: the {what} have SHA-256 {is_} as "
                    f"they were read, expected {was} {how}. Let no one write to the file; restore it from a good copy."
                )
        self._seen[number] = found


def checked(source: Source) -> CheckedSource:
    """The source, hashed as it is read."""
    return source if isinstance(source, CheckedSource) else CheckedSource(source)


def _blocks(source: Source) -> Iterator[tuple[Span, Hashes | None]]:
    """The blocks that tile the rows, with what is recorded of each."""
    at = 0
    for span, hashes in source.recorded():
        yield from ((gap, None) for gap in Span(at, span.start).cut(BLOCK_ROWS))
        yield span, hashes
        at = span.stop
    yield from ((gap, None) for gap in Span(at, source.rows).cut(BLOCK_ROWS))
