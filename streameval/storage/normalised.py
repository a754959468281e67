"""A data set whose features are normalised as they are read: (value * scale - mean) / std, as float32.

Knows rows and their shape. Does not know formats, nor what is computed from the rows. A mean that is folded into the
first layer would be right for a dense layer alone: the border of zeros around a convolution is not normalised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.errors import UsageError
from streameval.storage import block_hashes
from streameval.storage.source import Chunk, Hashes, Source, Span
from streameval.storage.wrapped import WrappedSource

# Rows whose float64 are held at once.
ROWS = 256

Numbers = float | Sequence[float] | None


class NormalisedSource(WrappedSource):
    """Rows of another source as float32, computed in float64 and rounded once. Fulfils `Source`; scale is 1."""

    # Workers of an engine open paths, without these numbers.
    needs_converting = True

    def __init__(self, source: Source, mean: Numbers, std: Numbers) -> None:
        super().__init__(source)
        self.dtype, self.scale = np.dtype(np.float32), 1.0
        self.kept: dict[object, Any] = {}
        self._mean = _expanded("mean", mean, 0.0, source)
        self._std = _expanded("std", std, 1.0, source)
        if (self._std <= 0).any():
            raise UsageError(f"std: {std}, expected finite numbers above 0.")
        self._table: NDArray[np.float32] | None = None
        if source.dtype == np.uint8 and np.ptp(self._mean) == 0 and np.ptp(self._std) == 0:
            # One of 256 values each.
            self._table = self._computed(np.arange(256.0)[:, None], self._mean[:1], self._std[:1]).ravel()

    @cached_property
    def fingerprint(self) -> str:
        """What identifies the content: that of the same float32 in any other form."""
        return block_hashes.fingerprint(self, block_hashes.hashes_of(self))

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        """See `Source`: each chunk is in memory of its own."""
        for chunk in self._source.chunks(span, chunk_rows):
            yield self._normalised(chunk)

    def take(self, rows: NDArray[np.int64]) -> Chunk:
        """See `Source`."""
        return self._normalised(self._source.take(rows))

    def recorded(self) -> Iterator[tuple[Span, Hashes]]:
        """Nothing is recorded of normalised values."""
        return iter(())

    def costs(self) -> tuple[int, int]:
        """See `Source`: a chunk that is in use, one that is made, and some rows as float64."""
        fixed, by_row = self._source.costs()
        return fixed + 3 * ROWS * 8 * self.features, by_row + 2 * 4 * self.features

    def __repr__(self) -> str:
        return f"{self._source!r}, normalised"

    def _normalised(self, chunk: Chunk) -> Chunk:
        x = chunk.x
        if self._table is not None:
            values = self._table[x]
        else:
            values = np.empty(x.shape, np.float32)
            for start in range(0, len(x), ROWS):
                part = x[start : start + ROWS].astype(np.float64)
                values[start : start + ROWS] = self._computed(part, self._mean, self._std)
        offsets = np.arange(len(x), dtype=np.int64) * self.features
        return replace(chunk, values=values.reshape(-1), offsets=offsets)

    def _computed(
        self, x: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            return ((x * self._source.scale - mean) / std).astype(np.float32)


def normalised(source: Source, mean: Numbers, std: Numbers) -> Source:
    """The source, or one whose features are (value * scale - mean) / std where one of the two is given.

    mean, std  a number; or one for each channel, the first dimension of three or else the last; or one for each feature

    Raises UsageError for another number of numbers, for a std that is not above 0, and for what is not finite.
    """
    return source if mean is None and std is None else NormalisedSource(source, mean, std)


def _expanded(name: str, given: Numbers, default: float, source: Source) -> NDArray[np.float64]:
    """One number for each feature."""
    numbers = default if given is None else given
    many = isinstance(numbers, Sequence | np.ndarray) and not isinstance(numbers, str)
    found = [real(f"{name}[{k}]", one) for k, one in enumerate(numbers)] if many else [real(name, numbers)]  # type: ignore[arg-type]
    if not all(map(math.isfinite, found)):
        raise UsageError(f"{name}: {numbers}, expected finite numbers.")
    values, shape = np.array(found), source.shape
    if len(values) == 1:
        return np.full(source.features, values[0])
    if len(values) == source.features:
        return values
    if len(shape) == 3 and len(values) == shape[0]:
        return np.broadcast_to(values[:, None, None], shape).reshape(-1).copy()
    if len(shape) == 3 and len(values) == shape[-1]:
        return np.broadcast_to(values, shape).reshape(-1).copy()
    channels = f", {shape[0]} or {shape[-1]} for the channels" if len(shape) == 3 else ""
    raise UsageError(
        f"{name}: {len(values)} numbers for rows of {' x '.join(map(str, shape))}, expected one{channels}, or "
        f"{source.features}, one for each feature."
    )
