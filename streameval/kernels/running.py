"""One call from packed weights and rows to filled outputs: scratch, thread count, the choice of the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.forward import make_forward
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.packing import Packed, aligned

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class KernelLoss(Protocol):
        """What running asks of a loss, see `losses.loss`."""

        @property
        def kernel(self) -> str: ...
        def parameters(self) -> NDArray[np.float64]: ...
        def tile(self) -> Callable[..., None]: ...


# Up to so many rows one thread computes: a second one would save 13 of 42 microseconds for 100 rows, and cost
# milliseconds wherever the other processors are busy.
ALONE_ROWS = 128

_NO_LABELS, _NO_ROWS = np.empty(0, np.int64), np.empty((0, 0))
_NO_PROBABILITIES = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Scratch:
    """Memory the threads work in, a row for each: allocated once, never by a tile. See `program.Space`."""

    floats: NDArray[np.float32]
    doubles: NDArray[np.float64]
    ints: NDArray[np.int32]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, packed: Packed, threads: int) -> Scratch:
        """For so many threads; `forward` starts that many."""
        return cls(
            _rows(threads, packed.floats, np.float32),
            _rows(threads, 4 * TILE_ROWS, np.float64),
            _rows(threads, packed.ints, np.int32),
            _rows(threads, TILE_ROWS, np.int64),
        )

    @property
    def alone(self) -> Scratch:
        """The first thread's part: with it a kernel starts no other thread."""
        return Scratch(self.floats[:1], self.doubles[:1], self.ints[:1], self.places[:1])

    @property
    def nbytes(self) -> int:
        """Bytes of all threads."""
        return self.floats.nbytes + self.doubles.nbytes + self.ints.nbytes + self.places.nbytes


def forward(
    packed: Packed,
    scratch: Scratch,
    loss: KernelLoss,
    values: NDArray[Any],
    offsets: NDArray[np.int64],
    targets: NDArray[Any],
    losses: NDArray[np.float64],
    predicted: NDArray[np.int64],
    probabilities: NDArray[np.float32] | None = None,
) -> None:
    """Fill losses, predicted classes and probabilities of the rows that begin at `offsets`, one thread a scratch row.

    values uint8 or float32, as packed, flat · offsets (n,) int64, in numbers · targets (n,) int64, or (n, outputs)
    float64 · losses (n,) float64 · predicted (n,) int64, left as it is by a loss without classes ·
    probabilities (n, outputs) float32, or None. NaN is the loss of a row of floats that are not all finite.
    """
    if len(offsets) == 0:
        return
    kernel = make_forward(packed.dtype, packed.operations, loss.kernel, loss.tile())
    labels, rows = (_NO_LABELS, targets) if targets.ndim == 2 else (targets, _NO_ROWS)
    p, s = packed, scratch.alone if len(offsets) <= ALONE_ROWS else scratch
    kernel(
        values.ctypes.data, values.size, offsets, _writeable(labels), _writeable(rows), loss.parameters(),
        p.program, p.weights, p.factors, p.inputs, p.planes, s.floats, s.doubles, s.ints, s.places,
        np.zeros(1, np.int64), losses, predicted, _NO_PROBABILITIES if probabilities is None else probabilities,
    )  # fmt: skip


def _writeable(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy of a read-only one: to Numba it would be another type, and another kernel."""
    return array if array.flags.writeable else array.copy()


def _rows(threads: int, length: int, dtype: Any) -> NDArray[Any]:
    """(threads, length or a little more), every row from a multiple of 64 bytes on: no line has two writers."""
    line = 64 // np.dtype(dtype).itemsize
    length = -(-length // line) * line
    return aligned(np.zeros(threads * length, dtype)).reshape(threads, length)
