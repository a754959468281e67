"""A user's own data set that lacks what only some passes ask for.

Knows what can be said of any source. Does not know where its rows come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.storage.source import Chunk, Hashes, Source, Span

# What a source of one's own may leave out.
OPTIONAL = ("io", "files", "sources", "recorded", "costs", "save_memory", "stamps")


def adopted(source: Source) -> Source:
    """Return the source as it is if it has everything, else with the rest filled in."""
    complete = all(hasattr(source, name) for name in OPTIONAL)
    return source if complete else AdoptedSource(source)


class AdoptedSource:
    """A source with what it leaves out filled in. Fulfils `Source`."""

    io = "auto"
    files: tuple[str, ...] = ()
    sources: Mapping[str, str] = {}

    def __init__(self, source: Source) -> None:
        self._source = source
        for name in OPTIONAL:
            if hasattr(source, name):
                setattr(self, name, getattr(source, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __len__(self) -> int:
        return self._source.rows

    @property
    def fingerprint(self) -> str:
        return self._source.fingerprint

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        return self._source.chunks(span, chunk_rows)

    def take(self, rows: NDArray[np.int64]) -> Chunk:
        return self._source.take(rows)

    def recorded(self) -> Iterator[tuple[Span, Hashes]]:
        """Nothing is recorded."""
        return iter(())

    def costs(self) -> tuple[int, int]:
        """One chunk in use, and one that is made."""
        return 0, 2 * self._source.features * self._source.dtype.itemsize

    def stamps(self) -> list[list[Any]]:
        """Nothing is known of its files."""
        return []

    def save_memory(self) -> None:
        """Nothing to do."""
