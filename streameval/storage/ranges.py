"""Rows fetched by ranges into memory of their own, one piece ahead: from an object store, or past the page cache.

Knows layouts, and files that can begin to fetch. Does not know how they do it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.frozen import frozen
from streameval.storage.access import Rows
from streameval.storage.forks import renew_in_forks
from streameval.storage.layout import Layout, Piece

# Pieces that are on their way at most; the oldest one that nobody asked for is let go.
COMING = 2


@frozen(eq=False)
class Fetch:
    """Bytes that are on their way: (size,) uint8, filled when all the futures are done."""

    bytes: NDArray[np.uint8]
    futures: Sequence[Future[None]]

    def result(self) -> NDArray[np.uint8]:
        """Wait for the bytes. Raises what went wrong."""
        for future in self.futures:
            future.result()
        return self.bytes

    def cancel(self) -> None:
        """Let go of what has not begun."""
        for future in self.futures:
            future.cancel()


class Fetching(Protocol):
    """A file whose bytes can be fetched while other things are done."""

    def fetch(self, at: int, size: int) -> Fetch:
        """Begin to fetch `size` bytes from position `at` on."""

    def read_rows(self, out: NDArray[Any], at: NDArray[np.int64]) -> None:
        """Fill each row of `out` (n, numbers) with the bytes from position `at[i]` on."""

    def in_flight(self) -> int:
        """The most bytes that fetching holds besides those that are handed out."""


class Ranges:
    """Rows of which the next piece is on its way while one is used. Fulfils `Access`."""

    def __init__(
        self, layout: Layout, values: Fetching, labels: Fetching, files: tuple[Any, ...] = ()
    ) -> None:
        self._layout = layout
        self._values = values
        self._labels = labels
        self._files = files
        self.renew()
        renew_in_forks(self)

    def renew(self) -> None:
        """See `Renewed`: nobody in a fork finishes what threads of the parent have begun."""
        self._coming: dict[Piece, tuple[Fetch, Fetch]] = {}
        self._choosing = threading.Lock()

    @property
    def files(self) -> tuple[Any, ...]:
        return self._files

    def piece(self, piece: Piece) -> Rows:
        layout, rows = self._layout, piece.stop - piece.start
        with self._choosing:
            coming = self._coming.pop(piece, None)
        values, labels = (fetch.result() for fetch in coming or self._begin(piece))
        offsets = np.arange(rows, dtype=np.int64) * layout.features
        t = labels.view(layout.label_dtype)
        return values.view(layout.dtype), offsets, t.reshape(-1, layout.width) if layout.soft else t

    def pick(self, rows: NDArray[np.int64]) -> Rows:
        layout = self._layout
        values = np.empty((len(rows), layout.features), layout.dtype)
        labels = np.empty((len(rows), layout.width), layout.label_dtype)
        batch = np.searchsorted(layout.starts, rows, side="right") - 1
        into = rows - layout.starts[batch]
        self._values.read_rows(values, layout.value_at[batch] + into * layout.value_bytes)
        self._labels.read_rows(labels, layout.label_at[batch] + into * layout.label_bytes)
        offsets = np.arange(len(rows), dtype=np.int64) * layout.features
        return values.reshape(-1), offsets, labels if layout.soft else labels.reshape(-1)

    def prefetch(self, piece: Piece) -> None:
        with self._choosing:
            while len(self._coming) >= COMING:
                for fetch in self._coming.pop(next(iter(self._coming))):
                    fetch.cancel()
            self._coming[piece] = self._begin(piece)

    def release(self, piece: Piece) -> None:
        """Nothing to do: the memory goes with the chunk."""

    def costs(self) -> tuple[int, int]:
        # One piece in use, one on its way, one that has not been given back yet.
        return self._values.in_flight(), 3 * (self._layout.value_bytes + self._layout.label_bytes)

    def piece_rows(self, chunk_rows: int) -> int:
        return chunk_rows

    def save_memory(self) -> None:
        """Nothing to do."""

    def expects(self, piece: Piece) -> bool:
        """Whether a piece is on its way."""
        return piece in self._coming

    def _begin(self, piece: Piece) -> tuple[Fetch, Fetch]:
        layout, rows = self._layout, piece.stop - piece.start
        into = piece.start - int(layout.starts[piece.batch])
        labels_at = int(layout.label_at[piece.batch]) + into * layout.label_bytes
        values_at = int(layout.value_at[piece.batch]) + into * layout.value_bytes
        return (
            self._values.fetch(values_at, rows * layout.value_bytes),
            self._labels.fetch(labels_at, rows * layout.label_bytes),
        )
