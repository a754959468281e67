"""Where the rows of a data set lie: what every format boils down to before a byte of data is read.

Knows batches (rows that lie one after another) and byte positions. Does not know how bytes are fetched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.errors import DataError, UsageError
from streameval.frozen import frozen
from streameval.storage.source import Span

SCALES = {"uint8": 1.0 / 255.0, "float32": 1.0}
"""The factor that turns a stored value into a feature, unless the file or the caller says otherwise."""

MAX_FEATURES = 1 << 28

Positions = NDArray[np.int64]


@frozen
class Piece:
    """The rows `start <= row < stop` of a source, all in record batch `batch`."""

    batch: int
    start: int
    stop: int


@frozen(eq=False)
class Layout:
    """The rows of one data set as batches: row numbers, and byte positions in the files.

    label_dtype   how a target number is stored
    width         numbers in a target: 1 for integer labels, `classes` for one-hot or soft rows
    scale         recorded scale, or None
    starts        (batches + 1,) int64: first row of each batch, then the number of rows
    value_at      (batches,) int64: byte position of a batch's first feature in the file of features
    label_at      (batches,) int64: byte position of its first target in the file of targets; both empty where rows
                  are no plain spans of bytes, and the format brings an `Access` of its own
    hashes        recorded (features, targets) SHA-256 of each block, or None
    sources       recorded hashes of the files that the data were made from
    read_whole    paths of files that were read into memory at opening
    """

    name: str
    path: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    classes: int | None
    scale: float | None
    soft: bool
    label_dtype: np.dtype[Any]
    width: int
    starts: Positions
    value_at: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    label_at: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    hashes: tuple[tuple[str, str], ...] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    read_whole: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    @property
    def features(self) -> int:
        """Numbers in a row."""
        return math.prod(self.shape)

    @property
    def value_bytes(self) -> int:
        """Bytes of a row's features."""
        return self.features * self.dtype.itemsize

    @property
    def label_bytes(self) -> int:
        """Bytes of a row's target."""
        return self.width * self.label_dtype.itemsize

    def pieces(self, span: Span, chunk_rows: int) -> Iterator[Piece]:
        """Yield pieces of at most `chunk_rows` rows that tile `span` in order and never cross a batch."""
        if chunk_rows < 1:
            raise UsageError(f"chunk_rows is {chunk_rows}, expected at least 1.")
        if not 0 <= span.start <= span.stop <= self.rows:
            raise UsageError(
                f"{self.name}: rows {span.start} to {span.stop} asked for, but it has {self.rows} rows, "
                f"counted from 0. Ask for rows within 0:{self.rows}."
            )
        row = span.start
        batch = int(np.searchsorted(self.starts, row, side="right")) - 1
        while row < span.stop:
            end = min(int(self.starts[batch + 1]), span.stop)
            while row < end:
                stop = min(row + chunk_rows, end)
                yield Piece(batch, row, stop)
                row = stop
            batch += 1


def one_batch(rows: int, value_at: int, label_at: int) -> tuple[Positions, Positions, Positions]:
    """Return `starts`, `value_at` and `label_at` of a data set whose rows all lie one after another."""
    batches = 1 if rows else 0
    starts = np.array([0, rows][: batches + 1], np.int64)
    return starts, np.full(batches, value_at, np.int64), np.full(batches, label_at, np.int64)


def check_shape(name: str, shape: tuple[int, ...]) -> int:
    """Return the features of a row of this shape. Raises DataError when it is empty or beyond all reason."""
    features = math.prod(shape)
    if not shape or min(shape) < 1 or features > MAX_FEATURES:
        raise DataError(
            f"{name}: rows of shape {shape}, expected one or more dimensions, none of them 0, and at most "
            f"{MAX_FEATURES} numbers in a row."
        )
    return features


def choose_scale(name: str, given: float | None, recorded: float | None, dtype: np.dtype[Any]) -> float:
    """Return the scale: the caller's, else the recorded one, else 1/255 for uint8 and 1 for float32."""
    scale = given if given is not None else recorded if recorded is not None else SCALES[dtype.name]
    if given is not None:
        scale = real(f"{name}: scale", given, "a finite number above 0")
    if not (math.isfinite(scale) and scale > 0):
        kind = UsageError if given is not None else DataError
        raise kind(
            f"{name}: scale is {scale}, expected a finite number above 0, such as {SCALES['uint8']!r}."
        )
    return float(scale)
