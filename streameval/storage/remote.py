"""Arrow files in an object store as data sets: the next chunk is on its way while one is used.

Knows layouts and objects. Does not know how a store is asked: `streameval.objects` does.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import StorageError
from streameval.objects import IN_FLIGHT, PART_BYTES, Object, list_objects
from streameval.storage import arrow, compressed
from streameval.storage.access import Decompressed, Rows
from streameval.storage.layout import Layout, Piece
from streameval.storage.many import ManySource
from streameval.storage.source import Source
from streameval.storage.stored import StoredSource

# Pieces that are on their way at most; the oldest one that nobody asked for is let go.
COMING = 2


def open_remote(uri: str, scale: float | None) -> Source:
    """Open an Arrow file of an object store, or all of a folder (a URI that ends with /), in natural order.

    Raises the errors of `streameval.open`.
    """
    if not uri.partition("?")[0].endswith("/"):
        return _open_object(uri, scale)
    found = list_objects(uri)
    if not found:
        raise StorageError(f"{uri}: no object there ends with .arrow. Check bucket and folder.")
    return open_objects(uri, found, scale)


def open_objects(name: str, uris: list[str], scale: float | None) -> Source:
    """Open several Arrow files of object stores as one data set, in the given order."""
    parts = [_open_object(uri, scale) for uri in uris]
    return parts[0] if len(parts) == 1 else ManySource(name, parts)


def _open_object(uri: str, scale: float | None) -> StoredSource:
    found: Any = Object(uri)
    layout = replace(arrow.layout(found), path=uri)
    if layout.compressed is None:
        return StoredSource(layout, Ranges(layout, found), scale)
    compressed.warn(found.path, layout.compressed[0].codec)
    return StoredSource(layout, Decompressed(layout, found), scale)


@dataclass(frozen=True, slots=True, eq=False)
class _Coming:
    """A piece that is being fetched: where it goes, and what is still to come."""

    values: NDArray[Any]
    labels: NDArray[Any]
    futures: list[Future[None]]


class Ranges:
    """Rows fetched by ranges into fresh memory, one piece ahead. Fulfils `Access`."""

    def __init__(self, layout: Layout, found: Object) -> None:
        self._layout = layout
        self._object = found
        self._coming: dict[Piece, _Coming] = {}

    @property
    def files(self) -> tuple[Any, ...]:
        return (self._object,)

    def piece(self, piece: Piece) -> Rows:
        layout, rows = self._layout, piece.stop - piece.start
        coming = self._coming.pop(piece, None) or self._begin(piece)
        for future in coming.futures:
            future.result()
        labels = coming.labels.reshape(-1, layout.width) if layout.soft else coming.labels
        return coming.values, np.arange(rows, dtype=np.int64) * layout.features, labels

    def pick(self, rows: NDArray[np.int64]) -> Rows:
        layout = self._layout
        values = np.empty((len(rows), layout.features), layout.dtype)
        labels = np.empty((len(rows), layout.width), layout.label_dtype)
        batch = np.searchsorted(layout.starts, rows, side="right") - 1
        into = rows - layout.starts[batch]
        self._object.read_rows(values, layout.value_at[batch] + into * layout.value_bytes)
        self._object.read_rows(labels, layout.label_at[batch] + into * layout.label_bytes)
        offsets = np.arange(len(rows), dtype=np.int64) * layout.features
        return values.reshape(-1), offsets, labels if layout.soft else labels.reshape(-1)

    def ahead(self, piece: Piece) -> None:
        while len(self._coming) >= COMING:
            oldest = self._coming.pop(next(iter(self._coming)))
            for future in oldest.futures:
                future.cancel()
        self._coming[piece] = self._begin(piece)

    def behind(self, piece: Piece) -> None:
        """Nothing to do: the memory goes with the chunk."""

    def costs(self) -> tuple[int, int]:
        # One piece in use, one on its way, one that the allocator has not given back; and the parts in flight.
        return 2 * IN_FLIGHT * PART_BYTES, 3 * (self._layout.value_bytes + self._layout.label_bytes)

    def save_memory(self) -> None:
        """Nothing to do."""

    def _begin(self, piece: Piece) -> _Coming:
        layout, rows = self._layout, piece.stop - piece.start
        into = piece.start - int(layout.starts[piece.batch])
        values = np.empty(rows * layout.features, layout.dtype)
        labels = np.empty(rows * layout.width, layout.label_dtype)
        futures = [
            future
            for out, base, size in (
                (labels, layout.label_at, layout.label_bytes),
                (values, layout.value_at, layout.value_bytes),
            )
            for future in self._object.begin(out.view(np.uint8).data, int(base[piece.batch]) + into * size)
        ]
        return _Coming(values, labels, futures)
