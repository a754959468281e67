"""Several data sets as one, rows numbered through.

Knows only `Source`. Does not know formats or files.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.storage import block_hashes
from streameval.storage.source import Chunk, Hashes, Span
from streameval.storage.stored import StoredSource, row_numbers

ALIKE = ("shape", "dtype", "scale", "soft", "classes")


class ManySource:
    """Sources of one form, one after another. Fulfils `Source`.

    Chunks never cross from one source into the next, and are views as those of their sources are. `take`
    within one source is a view too; rows from several are copied together. `fingerprint` is that of the same
    rows in one file, unless nothing short of reading more than 1 GiB would tell: then "parts-sha256:..." over
    the parts' own.
    """

    def __init__(self, name: str, parts: Sequence[StoredSource]) -> None:
        first = parts[0]
        for part in parts[1:]:
            for what in ALIKE:
                its, expected = getattr(part, what), getattr(first, what)
                if its != expected:
                    raise DataError(
                        f"{part.name}: {what} is {its}, expected {expected} as in {first.name}. Files that "
                        "are read as one data set must be alike: convert them the same way."
                    )
        self.name = name
        self.path: str | None = name
        self.shape, self.features, self.dtype = first.shape, first.features, first.dtype
        self.classes, self.scale, self.soft, self.io = first.classes, first.scale, first.soft, first.io
        self.sources: Mapping[str, str] = dict(chain.from_iterable(part.sources.items() for part in parts))
        self.files = tuple(chain.from_iterable(part.files for part in parts))
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *(part.rows for part in parts)], dtype=np.int64)
        self.rows = int(self._starts[-1])

    def with_any_targets(self) -> ManySource:
        """The same rows: see `StoredSource`."""
        other = copy.copy(self)
        other._parts = tuple(part.with_any_targets() for part in self._parts)
        return other

    @cached_property
    def fingerprint(self) -> str:
        """What identifies the content: the same as for one file of these rows, where that can be told."""
        hashes = [part.hashes for part in self._parts if part.rows]
        aligned = all(part.rows % block_hashes.BLOCK_ROWS == 0 for part in self._parts[:-1])
        if aligned and all(block is not None for block in hashes):
            return block_hashes.fingerprint(
                self, chain.from_iterable(block for block in hashes if block is not None)
            )
        if self.rows * self.features * self.dtype.itemsize <= block_hashes.HASH_UP_TO:
            return block_hashes.computed_fingerprint(self)
        return block_hashes.parts_fingerprint(part.fingerprint for part in self._parts)

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        """Yield chunks of at most `chunk_rows` rows that tile `span` in order, as `StoredSource` does."""
        if not 0 <= span.start <= span.stop <= self.rows:
            raise UsageError(
                f"{self.name}: rows {span.start} to {span.stop} asked for, but it has {self.rows} rows, "
                f"counted from 0. Ask for rows within 0:{self.rows}."
            )
        for part, first in zip(self._parts, self._starts[:-1].tolist(), strict=True):
            inside = Span(max(span.start - first, 0), min(span.stop - first, part.rows))
            if inside.start < inside.stop:
                for chunk in part.chunks(inside, chunk_rows):
                    here = chunk.rows
                    yield replace(chunk, rows=range(first + here[0], first + here[-1] + 1))

    def take(self, rows: NDArray[np.int64]) -> Chunk:
        """Return exactly these rows, in this order, repeats kept. Errors as in `StoredSource`."""
        wanted = row_numbers(self.name, rows, self.rows)
        which = np.searchsorted(self._starts, wanted, side="right") - 1
        used = np.unique(which).tolist() or [0]
        if len(used) == 1:
            only: Chunk = self._parts[used[0]].take(wanted - self._starts[used[0]])
            return replace(only, rows=wanted)
        values = np.empty((len(wanted), self.features), self.dtype)
        t = np.empty(
            (len(wanted), self.classes or 0) if self.soft else len(wanted), "f8" if self.soft else "i8"
        )
        largest = 0
        for one in used:
            mine = np.flatnonzero(which == one)
            chunk = self._parts[one].take(wanted[mine] - self._starts[one])
            values[mine], t[mine] = chunk.x, chunk.t
            largest = max(largest, chunk.largest_label)
        offsets = np.arange(len(wanted), dtype=np.int64) * self.features
        return Chunk(wanted, values.reshape(-1), offsets, self.features, t, largest)

    def check_unchanged(self) -> None:
        """Raise DataError if a file changed (fstat: size, mtime, ctime, inode) since it was opened."""
        for part in self._parts:
            part.check_unchanged()

    def stamps(self) -> list[list[Any]]:
        """Return what tells each file of each part from others."""
        return [stamp for part in self._parts for stamp in part.stamps()]

    def check_content(self) -> int:
        """Compare every block with its recorded hashes; return how many. DataError names file and block."""
        return sum(part.check_content() for part in self._parts)

    def costs(self) -> tuple[int, int]:
        """Return the most memory that `chunks` holds: bytes, and bytes more for each row of a chunk."""
        fixed, by_row = zip(*(part.costs() for part in self._parts), strict=True)
        return max(fixed), max(by_row)

    def save_memory(self) -> None:
        """From now on hold no more than `costs` says: pages of small files are given back too."""
        for part in self._parts:
            part.save_memory()

    def recorded(self) -> Iterator[tuple[Span, Hashes]]:
        """Yield the rows of each block of each part, and their recorded hashes."""
        for part, first in zip(self._parts, self._starts[:-1].tolist(), strict=True):
            for span, hashes in part.recorded():
                yield Span(first + span.start, first + span.stop), hashes

    def close(self) -> None:
        """Give the files back."""
        for part in self._parts:
            part.close()

    def __len__(self) -> int:
        return self.rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self._parts)} parts, {self.rows} rows of {self.dtype} {self.shape}>"
