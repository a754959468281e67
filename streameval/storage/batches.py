"""Rows of batches that must be made before they can be used: decompressed, decoded, converted.

Knows a `Layout` and a function that makes one batch. Does not know how it is made. This is the way in for formats
whose rows cannot be mapped: row groups, compressed batches, folders of images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.storage.access import Rows, batch_of
from streameval.storage.layout import Layout, Piece
from streameval.storage.mapping import File

Batch = tuple[NDArray[Any], NDArray[Any]]


class Batches:
    """One batch at a time in memory, the last one kept. Fulfils `Access`.

    make   batch number -> features (rows * features,) of the layout's dtype, and targets as they are stored: (rows,),
           or (rows, width) for one-hot and soft rows
    files  the files that it reads, for noticing that they changed
    """

    def __init__(self, layout: Layout, make: Callable[[int], Batch], files: tuple[File, ...]) -> None:
        self._layout = layout
        self._make = make
        self._files = files
        self._last: tuple[int, Batch] | None = None

    @property
    def files(self) -> tuple[File, ...]:
        return self._files

    def piece(self, piece: Piece) -> Rows:
        layout, first = self._layout, int(self._layout.starts[piece.batch])
        values, labels = self._batch(piece.batch)
        offsets = np.arange(piece.start - first, piece.stop - first, dtype=np.int64) * layout.features
        return values, offsets, labels[piece.start - first : piece.stop - first]

    def pick(self, rows: NDArray[np.int64]) -> Rows:
        layout = self._layout
        values = np.empty((len(rows), layout.features), layout.dtype)
        labels = np.empty((len(rows), layout.width) if layout.soft else len(rows), layout.label_dtype)
        batches = batch_of(layout.starts, rows)
        for batch in np.unique(batches).tolist():
            wanted = np.flatnonzero(batches == batch)
            within = rows[wanted] - layout.starts[batch]
            all_values, all_labels = self._batch(batch)
            values[wanted] = all_values.reshape(-1, layout.features)[within]
            labels[wanted] = all_labels[within]
        return values.reshape(-1), np.arange(len(rows), dtype=np.int64) * layout.features, labels

    def prefetch(self, piece: Piece) -> None:
        """Nothing to do: a batch is made when it is asked for."""

    def release(self, piece: Piece) -> None:
        """Nothing to do: the batch is let go when another one is asked for."""

    def costs(self) -> tuple[int, int]:
        # A batch is still in use while what the next one is made from is read, and while it is made.
        rows = int(np.diff(self._layout.starts).max(initial=0))
        return 3 * rows * (self._layout.value_bytes + self._layout.label_bytes), 0

    def piece_rows(self, chunk_rows: int) -> int:
        return chunk_rows

    def save_memory(self) -> None:
        """Nothing to do."""

    def _batch(self, number: int) -> Batch:
        last = self._last  # read once: another thread may replace it
        if last is not None and last[0] == number:
            return last[1]
        self._last = None
        batch = self._make(number)
        self._last = number, batch
        return batch
