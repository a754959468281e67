"""The one Source behind every format: a layout, and a way to get at its rows.

Knows how chunks are cut, checked and handed on. Does not know formats or files.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.storage import block_hashes, targets
from streameval.storage.access import RELEASE_BYTES, Access, FlatRows
from streameval.storage.layout import Layout, Piece, choose_scale
from streameval.storage.source import Chunk, Hashes, Span, largest_label


class StoredSource:
    """Rows of one file, one pair of files, or one pair of arrays. Fulfils `Source`.

    Chunks of a mapped file and of arrays are views: `values` is the memory of the whole file, offsets point
    into it. A chunk never crosses a record batch. `sources` are the recorded hashes of what the data were
    made from, `files` the paths that are read, `io` is how `open` was told to read.
    """

    def __init__(self, layout: Layout, access: Access, scale: float | None, io: str = "auto") -> None:
        self.name = layout.name
        self.path = layout.path
        self.rows = layout.rows
        self.shape = layout.shape
        self.features = layout.features
        self.dtype = layout.dtype
        self.classes = layout.classes
        self.scale = choose_scale(layout.name, scale, layout.scale, layout.dtype)
        self.soft = layout.soft
        self.sources: Mapping[str, str] = layout.sources
        self.hashes = layout.hashes
        self.io = io
        self._layout = layout
        self._access = access
        self._files = access.files
        self.files = layout.read_whole or tuple(str(file.path) for file in self._files)
        self._warned, self._any_targets = False, False
        # What others prepared for this data set and want again, by their own keys: it goes when the data set goes.
        self.kept: dict[object, Any] = {}
        self._t_dtype = np.dtype(np.float64 if layout.soft else np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """What identifies the content, from recorded hashes where there are some: see `block_hashes`."""
        if self.hashes is not None:
            return block_hashes.fingerprint(self, self.hashes)
        return block_hashes.computed_fingerprint(self)

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        """Yield chunks of at most `chunk_rows` rows that tile `span` in order; views of mapped data.

        While a chunk is being used, the next one is being fetched; of a large mapped file the pages of the
        chunk before are given back.

        Raises:
            UsageError: the span is not within the rows, or `chunk_rows` < 1.
            DataError: the file changed its length.
            LabelError: a label is out of range; the first row and the number of such rows are named.
        """
        for piece in self._pieces(span, chunk_rows):
            values, offsets, labels = self._access.piece(piece)
            rows = range(piece.start, piece.stop)
            yield self._chunk(rows, values, offsets, labels)

    def take(self, rows: NDArray[np.int64]) -> Chunk:
        """Return exactly these rows, in this order, repeats kept: a view where the data are mapped.

        Raises:
            UsageError: a row is out of range, or the numbers are not integers.
            DataError, LabelError: as in `chunks`.
        """
        wanted = row_numbers(self.name, rows, self.rows)
        self.check_size()
        if self.rows == 0:
            nothing = np.empty((0, self._layout.width) if self.soft else 0, self._t_dtype)
            return Chunk(wanted, np.empty(0, self.dtype), wanted, self.features, nothing)
        values, offsets, labels = self._access.pick(wanted)
        return self._chunk(wanted, values, offsets, labels)

    @property
    def flat(self) -> FlatRows | None:
        """The rows where they lie in memory, labels as they are stored; None where there is no such place.

        Who reads there asks `check_size` first: of a mapped file that was cut short, the rest is no memory.
        """
        flat: FlatRows | None = None if self._any_targets else getattr(self._access, "flat", None)
        return flat

    def check_size(self) -> None:
        """Raise DataError when a file has not the size that it had when it was opened."""
        for file in self._files:
            file.check_size()

    def check_unchanged(self) -> None:
        """Raise DataError if a file changed (fstat: size, mtime, ctime, inode) since it was opened."""
        for file in self._files:
            file.check_unchanged()

    def stamps(self) -> list[list[Any]]:
        """Return what tells each file from others: see `mapping.File.stamp`, `objects.Object.stamp`."""
        return [list(file.stamp) for file in self._files]

    def check_content(self) -> int:
        """Compare every block with its recorded hashes; return how many, 0 where none are recorded.

        Raises:
            DataError: a block differs; its number and rows are named.
        """
        if self.hashes is None:
            return 0
        for number, (block, recorded) in enumerate(
            zip(Span(0, self.rows).cut(block_hashes.BLOCK_ROWS), self.hashes, strict=True)
        ):
            computed = block_hashes.hash_block(self._raw_parts(block))
            for what, is_, was in zip(("features", "targets"), computed, recorded, strict=True):
                if is_ != was:
                    raise DataError(
                        f"{self.name}, block {number} (rows {block.start} to {block.stop - 1}): the {what} "
                        f"have SHA-256 {is_}, expected {was} as recorded. Restore the file from a good copy, "
                        "or convert it again."
                    )
        return len(self.hashes)

    def costs(self) -> tuple[int, int]:
        """Return the most memory that `chunks` holds: bytes, and bytes more for each row of a chunk."""
        return self._access.costs()

    def save_memory(self) -> None:
        """From now on hold no more than `costs` says: pages of small files are given back too."""
        self._access.save_memory()

    def recorded(self) -> Iterator[tuple[Span, Hashes]]:
        """Yield the rows of each block and their recorded hashes; nothing where none are recorded."""
        return zip(Span(0, self.rows).cut(block_hashes.BLOCK_ROWS), self.hashes or (), strict=False)

    def close(self) -> None:
        """Give the files back; the data set cannot be read any more, chunks at hand stay valid."""
        for file in self._files:
            file.close()

    def __len__(self) -> int:
        return self.rows

    def with_any_targets(self) -> Self:
        """The same rows, whose targets are numbers of any kind: neither classes nor weights of classes."""
        other = copy.copy(self)
        other._any_targets = True
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.name}: {self.rows} rows of {self.dtype} {self.shape}, classes {self.classes}>"

    def _pieces(self, span: Span, chunk_rows: int) -> Iterator[Piece]:
        """Yield pieces, fetching the next one early and giving back those before, some MiB at a time."""
        pieces = self._layout.pieces(span, self._access.piece_rows(chunk_rows))
        piece, used = next(pieces, None), None
        while piece is not None:
            after = next(pieces, None)
            if after is not None:
                self._access.prefetch(after)
            self.check_size()
            yield piece
            used = piece if used is None else replace(used, stop=piece.stop)
            last_of_batch = after is None or after.batch != piece.batch
            if last_of_batch or (used.stop - used.start) * self._layout.value_bytes >= RELEASE_BYTES:
                self._access.release(used)
                used = None
            piece = after

    def _raw_parts(self, span: Span) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield features and targets of `span`, unchecked."""
        for piece in self._pieces(span, block_hashes.BLOCK_ROWS):
            values, offsets, labels = self._access.piece(piece)
            rows = piece.stop - piece.start
            yield values[offsets[0] : offsets[0] + rows * self.features], self._cast(labels)

    def _chunk(
        self,
        rows: NDArray[np.int64] | range,
        values: NDArray[Any],
        offsets: NDArray[np.int64],
        labels: NDArray[Any],
    ) -> Chunk:
        """A chunk whose targets were checked, and labels looked at once, here."""
        # What was copied is looked at: what it was copied from may be another's to change.
        t = self._cast(labels)
        largest = largest_label(t)
        if self._any_targets:
            return Chunk(rows, values, offsets, self.features, t, largest)
        if not (targets.usable_weights(t) if self.soft else targets.usable_label(largest, self.classes)):
            self._refuse(labels, rows)
        if self.soft and not self._warned:
            self._warned = targets.warn_of_weights(self.name, t, rows)
        return Chunk(rows, values, offsets, self.features, t, largest)

    def _refuse(self, labels: NDArray[Any], rows: NDArray[np.int64] | range) -> None:
        """Raise the error about bad targets, counted over the source for a pass, over `rows` for a pick."""
        located: Iterator[targets.Located] = iter([(rows, self._as_stored(labels))])
        if isinstance(rows, range):
            pieces = self._layout.pieces(Span(0, self.rows), block_hashes.BLOCK_ROWS)
            located = ((range(p.start, p.stop), self._as_stored(self._access.piece(p)[2])) for p in pieces)
        raise targets.refuse(self.name, self.classes, located)

    def _cast(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Targets as they are handed on; NumPy would warn of a signalling NaN, which is refused as any other is."""
        if not self.soft:
            return labels.astype(self._t_dtype)
        with np.errstate(invalid="ignore"):
            return labels.astype(self._t_dtype)

    def _as_stored(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Targets for a message: as an int64, a label of 2**63 or more would be negative."""
        return labels if labels.dtype == np.uint64 and not self.soft else self._cast(labels)


def row_numbers(name: str, rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return `rows` as contiguous int64. Raises UsageError when one is not an integer in [0, limit)."""
    wanted = np.asarray(rows)
    if wanted.ndim != 1 or (wanted.dtype.kind not in "iu" and len(wanted)):
        raise UsageError(
            f"{name}: row numbers of shape {wanted.shape} and dtype {wanted.dtype}, expected one dimension "
            "of integers. For a mask: np.flatnonzero(mask)."
        )
    wanted = np.ascontiguousarray(wanted, np.int64)
    # As unsigned numbers, negative rows are larger than any count: one comparison checks both ends.
    if len(wanted) and int(wanted.view(np.uint64).max()) >= limit:
        bad = (wanted < 0) | (wanted >= limit)
        raise UsageError(
            f"{name}: row {wanted[np.argmax(bad)]} asked for ({np.count_nonzero(bad)} such), but it has "
            f"{limit} rows, counted from 0. Ask for rows from 0 to {limit - 1}."
        )
    return wanted
