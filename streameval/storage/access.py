"""Two ways to get at rows whose positions are known: views of memory, and positioned reads.

Knows a `Layout` and files. Does not know formats, targets' meaning, or the order in which rows are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.frozen import frozen
from streameval.storage.layout import Layout, Piece
from streameval.storage.mapping import FOLIO, File, Mapping

RELEASE_BYTES = 8 << 20
"""Pages are given back this many bytes at a time: giving back each chunk costs more than reading it."""

Rows = tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]
"""Memory that holds features, each row's offset in it, and the targets as they are stored."""


@frozen(eq=False)
class FlatRows:
    """Rows with integer labels in memory: in batches of `batch_rows` rows, the last of which may have fewer.

    values   flat, the features of row r of batch b from r * features + bases[0, b] on
    labels   flat, that row's at r + bases[1, b]
    bases    (2, batches) int64
    """

    values: NDArray[Any]
    labels: NDArray[Any]
    bases: NDArray[np.int64]
    batch_rows: int


class Access(Protocol):
    """How the rows of a layout are fetched."""

    @property
    def files(self) -> tuple[File, ...]:
        """The files that are read, none for arrays in memory."""

    def piece(self, piece: Piece) -> Rows:
        """Return consecutive rows of one batch."""

    def pick(self, rows: NDArray[np.int64]) -> Rows:
        """Return exactly these rows, which are in range."""

    def prefetch(self, piece: Piece) -> None:
        """Begin to fetch rows that will be asked for next."""

    def release(self, piece: Piece) -> None:
        """Give back what rows hold that were consumed."""

    def costs(self) -> tuple[int, int]:
        """Return the most memory that reading in order holds: bytes, and bytes more for each row of a piece."""

    def piece_rows(self, chunk_rows: int) -> int:
        """Return how many rows a piece should have where chunks of `chunk_rows` are asked for, or fewer."""

    def save_memory(self) -> None:
        """From now on hold no more than `costs` says, where that is slower too."""


@frozen(eq=False)
class PlainRows:
    """Rows that lie in files as plain spans of bytes: how they are read is for `open` to choose.

    values, labels  the files of features and of targets; the same one where both lie in it
    """

    layout: Layout
    values: File
    labels: File


@frozen(eq=False)
class OwnAccess:
    """Rows that are no plain spans of bytes, with the way to get at them that their format brings along."""

    layout: Layout
    access: Access


class Views:
    """Rows in memory, a mapped file's or an array's: features are not copied, offsets point at them.

    Only picks from a mapped file of more than 64 MiB are read into fresh memory, so that the mapping stays
    small; and all of such a file where the system takes no pages back.
    """

    def __init__(
        self, layout: Layout, values: NDArray[Any] | Mapping, labels: NDArray[Any] | Mapping
    ) -> None:
        self._layout = layout
        self._maps = tuple({id(m): m for m in (values, labels) if isinstance(m, Mapping)}.values())
        self._value_map = values if isinstance(values, Mapping) else None
        self._label_map = labels if isinstance(labels, Mapping) else None
        self._values = values.view(layout.dtype) if isinstance(values, Mapping) else values
        self._labels = labels.view(layout.label_dtype) if isinstance(labels, Mapping) else labels
        starts = layout.starts[:-1]
        # offset of row r in batch b = r * features + value_base[b]: so a pick is one gather and one addition.
        self._value_base = layout.value_at // layout.dtype.itemsize - starts * layout.features
        self._label_base = layout.label_at // layout.label_dtype.itemsize - starts * layout.width
        self._even = _even_batches(layout.starts)
        self._releases = any(m.releases for m in self._maps)
        # Touching one row of a large file may map a whole folio of the page cache, up to 2 MiB, and then costs
        # more than reading it.
        self._picks: Reads | None = None
        if self._releases:
            self._picks = self._reads()
        self._instead = self._picks if self._releases and not self._gives_back() else None

    @property
    def files(self) -> tuple[File, ...]:
        return tuple(mapping.file for mapping in self._maps)

    def _reads(self) -> Reads | None:
        if self._value_map is None or self._label_map is None:
            return None
        return Reads(self._layout, self._value_map.file, self._label_map.file)

    def _gives_back(self) -> bool:
        return all(mapping.gives_back for mapping in self._maps)

    def piece(self, piece: Piece) -> Rows:
        if self._instead is not None:
            return self._instead.piece(piece)
        layout = self._layout
        first = piece.start * layout.features + int(self._value_base[piece.batch])
        stop = first + (piece.stop - piece.start) * layout.features
        offsets = np.arange(first, stop, layout.features, dtype=np.int64)
        start = piece.start * layout.width + int(self._label_base[piece.batch])
        labels = self._labels[start : start + (piece.stop - piece.start) * layout.width]
        return self._values, offsets, labels.reshape(-1, layout.width) if layout.soft else labels

    def pick(self, rows: NDArray[np.int64]) -> Rows:
        layout = self._layout
        if self._picks is not None:
            return self._picks.pick(rows)
        if len(self._value_base) == 1:
            value_base, label_base = self._value_base[0], self._label_base[0]
        else:
            batch = rows // self._even if self._even else batch_of(layout.starts, rows)
            value_base, label_base = self._value_base[batch], self._label_base[batch]
        numbers = rows * layout.width + label_base
        if layout.soft:
            numbers = numbers[:, None] + np.arange(layout.width)
        return self._values, rows * layout.features + value_base, self._labels[numbers]

    @property
    def flat(self) -> FlatRows | None:
        """Where the rows lie in memory; None where they are read when they are picked, or in uneven batches."""
        layout = self._layout
        one = len(self._value_base) == 1
        if self._picks is not None or layout.soft or not (one or self._even):
            return None
        bases = np.stack([self._value_base, self._label_base]).astype(np.int64)
        return FlatRows(self._values, self._labels, bases, layout.rows if one else self._even)

    def prefetch(self, piece: Piece) -> None:
        if self._releases:
            for mapping, start, stop in self.ranges(piece):
                mapping.prefetch(start, stop)

    def release(self, piece: Piece) -> None:
        if self._releases:
            for mapping, start, stop in self.ranges(piece):
                mapping.release(start, stop)

    def costs(self) -> tuple[int, int]:
        if not self._maps:
            return 0, 0
        if self._instead is not None:
            return self._instead.costs()
        # Folios at both ends of what is in use, of features and of targets.
        return RELEASE_BYTES + 4 * FOLIO, 2 * (self._layout.value_bytes + self._layout.label_bytes)

    def piece_rows(self, chunk_rows: int) -> int:
        return chunk_rows

    def save_memory(self) -> None:
        self._releases = bool(self._maps)
        for mapping in self._maps:
            mapping.release_always()
        if not self._gives_back():
            self._picks = self._instead = self._reads()

    def ranges(self, piece: Piece) -> Iterator[tuple[Mapping, int, int]]:
        """Yield the bytes of features and targets that a piece lies in."""
        layout, rows = self._layout, piece.stop - piece.start
        into = piece.start - int(layout.starts[piece.batch])
        for mapping, base, row_bytes in (
            (self._value_map, layout.value_at, layout.value_bytes),
            (self._label_map, layout.label_at, layout.label_bytes),
        ):
            if mapping is not None:
                start = int(base[piece.batch]) + into * row_bytes
                yield mapping, start, start + rows * row_bytes


class Reads:
    """Rows read by position into fresh memory: for file systems where mapping is unsafe."""

    def __init__(self, layout: Layout, values: File, labels: File) -> None:
        self._layout = layout
        self._value_file = values
        self._label_file = labels

    @property
    def files(self) -> tuple[File, ...]:
        return (
            (self._value_file,)
            if self._value_file is self._label_file
            else (self._value_file, self._label_file)
        )

    def piece(self, piece: Piece) -> Rows:
        layout, rows = self._layout, piece.stop - piece.start
        values = np.empty(rows * layout.features, layout.dtype)
        labels = np.empty(rows * layout.width, layout.label_dtype)
        self._read(piece, values, labels)
        offsets = np.arange(rows, dtype=np.int64) * layout.features
        return values, offsets, labels.reshape(-1, layout.width) if layout.soft else labels

    def pick(self, rows: NDArray[np.int64]) -> Rows:
        layout = self._layout
        values = np.empty((len(rows), layout.features), layout.dtype)
        labels = np.empty((len(rows), layout.width), layout.label_dtype)
        batch = batch_of(layout.starts, rows)
        into = rows - layout.starts[batch]
        self._value_file.read_rows(values, layout.value_at[batch] + into * layout.value_bytes)
        self._label_file.read_rows(labels, layout.label_at[batch] + into * layout.label_bytes)
        offsets = np.arange(len(rows), dtype=np.int64) * layout.features
        return values.reshape(-1), offsets, labels if layout.soft else labels.reshape(-1)

    def prefetch(self, piece: Piece) -> None:
        self._value_file.prefetch(*self._place(piece))

    def release(self, piece: Piece) -> None:
        """Nothing to do: the memory goes with the chunk."""

    def costs(self) -> tuple[int, int]:
        # A piece is still in use while the next one is read, and the allocator may not fit it where one was freed.
        return 0, 3 * (self._layout.value_bytes + self._layout.label_bytes)

    def piece_rows(self, chunk_rows: int) -> int:
        return chunk_rows

    def save_memory(self) -> None:
        """Nothing to do."""

    def _read(self, piece: Piece, values: NDArray[Any], labels: NDArray[Any]) -> None:
        layout = self._layout
        into = piece.start - int(layout.starts[piece.batch])
        self._value_file.read_into(
            _raw(values), int(layout.value_at[piece.batch]) + into * layout.value_bytes
        )
        self._label_file.read_into(
            _raw(labels), int(layout.label_at[piece.batch]) + into * layout.label_bytes
        )

    def _place(self, piece: Piece) -> tuple[int, int]:
        layout = self._layout
        into = piece.start - int(layout.starts[piece.batch])
        at = int(layout.value_at[piece.batch]) + into * layout.value_bytes
        return at, (piece.stop - piece.start) * layout.value_bytes


def _even_batches(starts: NDArray[np.int64]) -> int:
    """Return the rows of every batch but the last if they are alike (a division finds the batch), else 0."""
    rows = np.diff(starts)
    return int(rows[0]) if len(rows) > 1 and (rows[:-1] == rows[0]).all() and rows[-1] <= rows[0] else 0


def batch_of(starts: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the batch that each row lies in."""
    return np.searchsorted(starts, rows, side="right") - 1


def _raw(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
