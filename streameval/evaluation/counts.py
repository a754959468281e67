"""A square table of counts that is one value: added, compared and stored as a whole.

Knows integers. Does not know what is counted. For 1,000 classes it holds a million of them, which Python's own
integers would take a second to add.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Counts:
    """Counts (n, n), each from 0 to 2**63 - 1; they cannot be changed. `+` adds, `len` is n, rows are tuples.

    counts  an int64 array of that shape, or anything NumPy makes one of; () for none
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Any) -> None:
        table = np.array(counts, np.int64)
        self._counts: NDArray[np.int64] = table.reshape(len(table), len(table))

    @classmethod
    def zeros(cls, size: int) -> Counts:
        """No counts in a table of `size` rows."""
        return cls(np.zeros((size, size), np.int64))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self._counts + other._counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and np.array_equal(self._counts, other._counts)

    def __hash__(self) -> int:
        return hash(self._counts.tobytes())

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, row: int) -> tuple[int, ...]:
        return tuple(self._counts[row].tolist())

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return map(tuple, self._counts.tolist())

    def __repr__(self) -> str:
        return f"Counts({self._counts.tolist()})"

    def to_list(self) -> list[list[int]]:
        """As JSON."""
        rows: list[list[int]] = self._counts.tolist()
        return rows
