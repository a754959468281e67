"""Files in an object store as data sets: the next chunk is on its way while one is used.

Knows layouts and objects. Does not know how a store is asked: `streameval.objects` does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import StorageError, UsageError
from streameval.objects import IN_FLIGHT, PART_BYTES, Object, list_objects
from streameval.storage import arrow, splits
from streameval.storage.access import OwnAccess
from streameval.storage.formats import SNIFFED, format_of
from streameval.storage.many import ManySource
from streameval.storage.natural import natural
from streameval.storage.ranges import Fetch, Ranges
from streameval.storage.source import Source
from streameval.storage.stored import StoredSource


def open_remote(uri: str, scale: float | None) -> Source:
    """Open a file of an object store, or all of a folder (a URI that ends with /), in natural order.

    Raises the errors of `streameval.open`.
    """
    if not uri.partition("?")[0].endswith("/"):
        return _open_object(uri, scale)
    uris = [one for one in list_objects(uri) if one.partition("?")[0].endswith(".arrow")]
    if not uris:
        raise StorageError(f"{uri}: no object there ends with .arrow. Check bucket and folder.")
    names = [one.partition("?")[0].rpartition("/")[2] for one in uris]
    splits.warn_of_several(uri, names, "one object, or keep them in folders of their own.")
    return open_objects(uri, sorted(uris, key=natural), scale)


def open_objects(name: str, uris: list[str], scale: float | None) -> Source:
    """Open several files of object stores as one data set, in the given order."""
    parts = [_open_object(uri, scale) for uri in uris]
    return parts[0] if len(parts) == 1 else ManySource(name, parts)


def _open_object(uri: str, scale: float | None) -> StoredSource:
    object_: Any = Object(uri)
    start = object_.read(0, min(SNIFFED, object_.size))
    form = format_of("file", Path(object_.path), start)
    if form is not None and form.table is not None:
        raise UsageError(
            f"{uri}: a table, which is not read from an object store. Download it, or convert it and upload the .arrow "
            "file: streameval convert TABLE NAME.arrow."
        )
    rows = arrow.rows(object_)
    layout = replace(rows.layout, path=uri)
    if isinstance(rows, OwnAccess):
        return StoredSource(layout, rows.access, scale)
    fetched = FetchedObject(object_)
    return StoredSource(layout, Ranges(layout, fetched, fetched, (object_,)), scale)


class FetchedObject:
    """An object whose ranges are fetched into fresh memory. Fulfils `Fetching`."""

    def __init__(self, source: Object) -> None:
        self._object = source

    def fetch(self, at: int, size: int) -> Fetch:
        """Begin to fetch `size` bytes from position `at` on, in parts, several in flight."""
        out = np.empty(size, np.uint8)
        return Fetch(out, self._object.begin(out.data, at))

    def read_rows(self, out: NDArray[Any], at: NDArray[np.int64]) -> None:
        """Fill each row of `out` (n, numbers) with the bytes from position `at[i]` on, several in flight."""
        self._object.read_rows(out, at)

    def in_flight(self) -> int:
        """The most bytes that fetching holds besides those that are handed out."""
        return 2 * IN_FLIGHT * PART_BYTES
