"""One call from packed weights and rows to filled outputs: scratch, thread count, the choice of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streameval.frozen import frozen
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
# Where rows are given, there is no mini-batch to draw and to sum up.
_GIVEN = np.empty(0, np.uint64), np.empty((2, 0), np.int64), np.empty(0, np.int64), np.empty(0)


@frozen(eq=False)
class Scratch:
    """Memory the threads work in, a row for each: allocated once, never by a tile. See `program.Space`."""

    floats: NDArray[np.float32]
    doubles: NDArray[np.float64]
    ints: NDArray[np.int32]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, packed: Packed, threads: int) -> Scratch:
        """For so many threads; `Forward` starts that many."""
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


class Forward:
    """A packed network's forward pass and loss, one thread a scratch row: all that no row changes is looked up once.

    Calls fill losses, predicted classes and probabilities of the rows that begin at `offsets`:

    values uint8 or float32, as packed, flat · offsets (n,) int64, in numbers · targets (n,) int64, or (n, outputs)
    float64 · losses (n,) float64 · predicted (n,) int64, left as it is by a loss without classes ·
    probabilities (n, outputs) float32, or None. NaN is the loss of a row of floats that are not all finite.
    """

    def __init__(self, packed: Packed, scratch: Scratch, loss: KernelLoss) -> None:
        self._kernel = make_forward(packed.dtype, packed.operations, loss.kernel, loss.tile())
        network = (packed.program, packed.weights, packed.factors, packed.inputs, packed.planes)
        self._few, self._many = (
            (loss.parameters(), *network, space.floats, space.doubles, space.ints, space.places)
            for space in (scratch.alone, scratch)
        )

    def __call__(
        self,
        values: NDArray[Any],
        offsets: NDArray[np.int64],
        targets: NDArray[Any],
        losses: NDArray[np.float64],
        predicted: NDArray[np.int64],
        probabilities: NDArray[np.float32] | None = None,
    ) -> None:
        if len(offsets) == 0:
            return
        labels, rows = (_NO_LABELS, targets) if targets.ndim == 2 else (targets, _NO_ROWS)
        self._kernel(
            address_of(values), values.size, offsets, _writeable(labels), _writeable(rows),
            *(self._few if len(offsets) <= ALONE_ROWS else self._many),
            np.zeros(1, np.int64), losses, predicted, _NO_PROBABILITIES if probabilities is None else probabilities,
            *_GIVEN,
        )  # fmt: skip

    def minibatch(
        self,
        address: int,
        size: int,
        spec: NDArray[np.uint64],
        bases: NDArray[np.int64],
        drawn: NDArray[np.int64],
        losses: NDArray[np.float64],
        summary: NDArray[np.float64],
    ) -> None:
        """Draw a mini-batch of values (size,) at an address, and fill its rows, losses and summary: see `drawing`.

        On one thread. summary[USABLE] stays as it is where a label is no class: nothing is computed.
        """
        integers = np.empty((3, len(drawn)), np.int64)
        self._kernel(
            address, size, integers[0], integers[1], _NO_ROWS, *self._few, np.zeros(1, np.int64), losses,
            integers[2], _NO_PROBABILITIES, spec, bases, drawn, summary,
        )  # fmt: skip


def address_of(array: NDArray[Any]) -> int:
    """Where an array's numbers begin; `array.ctypes.data` is the same, and takes microseconds."""
    address: int = array.__array_interface__["data"][0]
    return address


def _writeable(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy of a read-only one: to Numba it would be another type, and another kernel."""
    return array if array.flags.writeable else array.copy()


def _rows(threads: int, length: int, dtype: Any) -> NDArray[Any]:
    """(threads, length or a little more), every row from a multiple of 64 bytes on: no line has two writers."""
    line = 64 // np.dtype(dtype).itemsize
    length = -(-length // line) * line
    return aligned(np.zeros(threads * length, dtype)).reshape(threads, length)
