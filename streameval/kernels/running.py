"""One call from packed weights and rows to filled outputs: scratch, thread count, the choice of the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.forward import forward_bytes, forward_floats
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.packing import Packed, aligned

# Up to so many rows one thread computes: a second one would save 13 of 42 microseconds for 100 rows, and cost
# milliseconds wherever the other processors are busy.
ALONE_ROWS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Scratch:
    """Memory the threads work in, a row for each: allocated once, never by a tile."""

    work: NDArray[np.float32]
    doubles: NDArray[np.float64]
    ints: NDArray[np.int32]
    places: NDArray[np.int64]

    @property
    def alone(self) -> Scratch:
        """The first thread's part: with it a kernel starts no other thread."""
        return Scratch(self.work[:1], self.doubles[:1], self.ints[:1], self.places[:1])

    @classmethod
    def of(cls, packed: Packed, threads: int) -> Scratch:
        return cls(
            _rows(threads, packed.work, np.float32),
            _rows(threads, 4 * TILE_ROWS, np.float64),
            _rows(threads, packed.ints, np.int32),
            _rows(threads, TILE_ROWS, np.int64),
        )


def forward(
    packed: Packed,
    scratch: Scratch,
    values: NDArray[Any],
    offsets: NDArray[np.int64],
    labels: NDArray[np.int64],
    soft: NDArray[np.float64],
    eps: float,
    loss: NDArray[np.float64],
    predicted: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> None:
    """Fill loss, predicted and probabilities for the rows at `offsets`; shapes as in `forward.forward_bytes`."""
    if len(offsets) == 0:
        return
    counter = np.zeros(1, np.int64)
    address, size = values.ctypes.data, values.size
    labels, soft = _writeable(labels), _writeable(soft)
    p, s = packed, scratch
    if len(offsets) <= ALONE_ROWS:
        s = scratch.alone
    if p.is_bytes:
        forward_bytes(
            address, size, offsets, labels, soft, eps, p.layers, p.weights, p.first, p.planes, p.first_weights,
            p.scales, s.work, s.doubles, s.ints, s.places, counter, loss, predicted, probabilities,
        )  # fmt: skip
    else:
        forward_floats(
            address, size, offsets, labels, soft, eps, p.layers, p.weights,
            s.work, s.doubles, s.places, counter, loss, predicted, probabilities,
        )  # fmt: skip


def _writeable(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy of a read-only one: to Numba it would be another type, and another kernel."""
    return array if array.flags.writeable else array.copy()


def _rows(threads: int, length: int, dtype: Any) -> NDArray[Any]:
    """(threads, length or a little more), every row from a multiple of 64 bytes on: no line has two writers."""
    line = 64 // np.dtype(dtype).itemsize
    length = -(-length // line) * line
    return aligned(np.zeros(threads * length, dtype)).reshape(threads, length)
