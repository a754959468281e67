"""What a data set is to the rest of the package: rows that can be read in order or picked by number.

Knows spans, chunks and the protocol that every format fulfils. Does not know any format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.frozen import frozen

Hashes = tuple[str, str]
"""SHA-256 of the features and of the targets of a block of rows."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The rows `start <= row < stop` of a source."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, rows: int) -> Iterator[Span]:
        """Yield consecutive spans of `rows` rows, at least 1, that tile this one; the last may be shorter.

        Raises UsageError for fewer.
        """
        rows = integer("rows", rows, least=1)
        for start in range(self.start, self.stop, rows):
            yield Span(start, min(start + rows, self.stop))


def largest_label(t: NDArray[Any]) -> int:
    """Return the largest of integer labels (n,) as unsigned numbers; 0 for no labels, and for rows of numbers."""
    if t.ndim != 1 or len(t) == 0:
        return 0
    # The labels of most files are bytes: they are looked at as such, not as the int64 that they become.
    return int((t if t.dtype.kind == "u" else np.ascontiguousarray(t, np.int64).view(np.uint64)).max())


@frozen(eq=False)
class Chunk:
    """Some rows of a source, as a view: nothing is copied to make one from a mapped file.

    rows     row numbers in the source, `range` when contiguous, else (n,) int64
    values   1-D uint8 or float32: the memory that holds the features (a mapped file, an array)
    offsets  (n,) int64: row i's features are `values[offsets[i] : offsets[i] + features]`
    features number of values in a row
    t        targets: (n,) int64 labels, or (n, classes) float64 one-hot or soft rows
    largest_label   of the labels as unsigned numbers, so that a negative one is larger than any class; 0 for one-hot
             and soft rows. Who reads labels looks at them once and says it; where it is left out, `t` is looked at.
    """

    rows: Sequence[int] | NDArray[np.int64]
    values: NDArray[Any]
    offsets: NDArray[np.int64]
    features: int
    t: NDArray[Any]
    largest_label: int = -1

    def __post_init__(self) -> None:
        if self.largest_label < 0:
            object.__setattr__(self, "largest_label", largest_label(self.t))

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def x(self) -> NDArray[Any]:
        """The features as (n, features): a view where the rows lie one after another, else a copy."""
        n = len(self.offsets)
        if n == 0:
            return np.empty((0, self.features), self.values.dtype)
        first = int(self.offsets[0])
        if np.array_equal(self.offsets, first + self.features * np.arange(n)):
            return self.values[first : first + n * self.features].reshape(n, self.features)
        gathered: NDArray[Any] = self.values[self.offsets[:, None] + np.arange(self.features)]
        return gathered


@runtime_checkable
class Source(Protocol):
    """A data set. Rows are numbered from 0; features are uint8 or float32, in row-major order.

    name        what messages call it: the path, or "<arrays>"
    path        where it lies, or None for arrays in memory
    rows        number of rows; 0 is allowed
    shape       shape of one row, (28, 28) for MNIST; features = product of shape
    dtype       uint8 or float32
    classes     number of classes if the file records it or the targets are one-hot/soft, else None; of targets that
                are numbers to compare outputs with, how many a row has
    scale       factor that turns a stored value into a feature: 1/255 for uint8, 1.0 for float32,
                unless recorded in the file or given to `open`
    soft        True when targets are rows of `classes` numbers, False for integer labels
    io          how `open` was told to read, for others who open the same data
    files       paths of all files that are read; none for arrays in memory
    sources     recorded hashes of what the data were made from: name of a file -> SHA-256
    """

    name: str
    path: str | None
    rows: int
    shape: tuple[int, ...]
    features: int
    dtype: np.dtype[Any]
    classes: int | None
    scale: float
    soft: bool
    io: str
    files: tuple[str, ...]
    sources: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """What identifies the content, "sha256:..." over recorded block hashes or over the arrays."""

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        """Yield chunks of at most `chunk_rows` rows that tile `span` in order."""

    def take(self, rows: NDArray[np.int64]) -> Chunk:
        """Return exactly these rows, in this order, repeats kept. Raises UsageError if out of range."""

    def check_unchanged(self) -> None:
        """Raise DataError if the file changed (fstat: size, mtime, ctime, inode) since it was opened."""

    def stamps(self) -> list[list[Any]]:
        """Return what tells each file from others, for JSON; nothing for arrays in memory."""

    def check_content(self) -> int:
        """Compare every block with its recorded hash; return how many. Raises DataError naming the block."""

    def recorded(self) -> Iterator[tuple[Span, Hashes]]:
        """Yield the rows of each block and their recorded hashes; nothing where none are recorded."""

    def costs(self) -> tuple[int, int]:
        """Return the most memory that `chunks` holds: bytes, and bytes more for each row of a chunk."""

    def save_memory(self) -> None:
        """From now on hold no more than `costs` says, where that is slower too."""

    def close(self) -> None:
        """Give back what the source holds."""


def with_any_targets(source: Source) -> Source:
    """The same rows, whose targets are numbers to compare outputs with: neither classes nor weights of classes."""
    change = getattr(source, "with_any_targets", None)
    return source if change is None else change()


def is_source(data: object) -> TypeGuard[Source]:
    """Say whether something is a data set that is open; `isinstance` would compute its fingerprint."""
    return all(hasattr(type(data), name) for name in ("chunks", "take", "fingerprint"))
