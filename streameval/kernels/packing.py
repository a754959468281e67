"""A network as the flat arrays that the kernels read: packed once, used for every tile.

Knows layouts. The rules here depend on the weights and on the host's tile sizes only, never on the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.activations import ACTIVATE
from streameval.kernels.dense import DENSE
from streameval.kernels.dense_bytes import DENSE_BYTES
from streameval.kernels.dense_rows import DENSE_ROWS, SPOIL
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.program import COLUMNS, FEATURES, OUTPUTS, SOURCE, Operation

# The operations that every network's kernel has, by the dtype of its rows: most networks need one of two kernels.
USUAL = {
    "uint8": (DENSE_BYTES, DENSE, ACTIVATE),
    "float32": (DENSE_ROWS, DENSE, ACTIVATE, SPOIL),
}
_LINE = 16  # float32 in a cache line: every array in a pool begins at a multiple of it


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Packed:
    """A network ready for the kernels, for rows of one dtype and scale; the arrays are those of `program.Net`.

    floats, ints  numbers of float32 and int32 that a thread works in
    """

    features: int
    outputs: int
    dtype: str
    operations: tuple[Operation, ...]
    program: NDArray[np.int64]
    weights: NDArray[np.float32]
    factors: NDArray[np.float64]
    inputs: NDArray[np.int32]
    planes: NDArray[Any]
    floats: int
    ints: int

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.program, self.weights, self.factors, self.inputs, self.planes)
        return sum(array.nbytes for array in arrays)


class PackableLayer(Protocol):
    """What packing asks of a layer, see `layers.layer`."""

    @property
    def inputs(self) -> int | None: ...

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """Add the layer's steps, and say where its outputs are."""


def pack(
    layers: Sequence[PackableLayer], *, dtype: Any, scale: float, shape: tuple[int, ...] | None = None
) -> Packed:
    """Pack a network for uint8 or float32 rows whose stored values are multiplied by `scale`.

    shape: of a row; default (inputs of the first layer,)
    """
    builder = Builder(shape or (layers[0].inputs or 0,), np.dtype(dtype).name, scale)
    slot = builder.rows
    for layer in layers:
        slot = layer.pack(builder, slot)
    return builder.finish(slot)


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """Values of a tile, [neuron][row]: what one step writes and others read. `size` neurons have a place."""

    shape: tuple[int, ...]
    size: int

    @property
    def neurons(self) -> int:
        """How many values it has for a row."""
        return math.prod(self.shape)


@dataclass(slots=True, eq=False)
class _Pool:
    """Arrays of one dtype, put end to end."""

    dtype: Any
    parts: list[NDArray[Any]] = field(default_factory=list)
    length: int = 0

    def add(self, array: NDArray[Any]) -> int:
        """Where the array begins."""
        start = self.length
        padded = np.zeros(-(-array.size // _LINE) * _LINE, self.dtype)
        padded[: array.size] = array.ravel()
        self.parts.append(padded)
        self.length += padded.size
        return start

    def joined(self) -> NDArray[Any]:
        return aligned(np.concatenate([np.empty(0, self.dtype), *self.parts]))


class Builder:
    """A network on its way to being packed: layers add steps to it, one after another.

    dtype, scale  of the rows; stored values are multiplied by scale
    rows          the source of a layer that reads the data itself
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, scale: float) -> None:
        self.dtype, self.scale = dtype, scale
        self.rows = Slot(shape, 0)
        self.planes: NDArray[Any] = np.empty(0, np.int8)
        self._weights, self._factors, self._inputs = (
            _Pool(kind) for kind in (np.float32, np.float64, np.int32)
        )
        self._steps: list[tuple[Operation, tuple[Slot | int, ...]]] = []
        self._marks: Slot | None = None
        self._ints = 1

    def slot(self, *shape: int, padded: int = 0) -> Slot:
        """A place for values of this shape, with room for `padded` neurons if a step writes more than it has."""
        return Slot(shape, max(math.prod(shape), padded))

    def marks(self) -> Slot:
        """A place for one number a row: 0, or NaN for a row that has no meaning. It spoils the outputs."""
        self._marks = self.slot(1)
        return self._marks

    def add(
        self,
        operation: Operation,
        source: Slot,
        target: Slot,
        *numbers: Slot | int,
        temporary: Slot | None = None,
        ints: int = 0,
    ) -> Slot:
        """Add a step, and return its target. A slot among its `numbers` becomes an offset; ints: int32 to work in."""
        self._steps.append((operation, (source, target, temporary or self.rows, *numbers)))
        self._ints = max(self._ints, ints)
        return target

    def weights(self, array: NDArray[np.float32]) -> int:
        """Keep float32 numbers; return their offset in `Net.weights`."""
        return self._weights.add(array)

    def factors(self, array: NDArray[np.float64]) -> int:
        """Keep float64 numbers; return their offset in `Net.factors`."""
        return self._factors.add(array)

    def inputs(self, neurons: NDArray[np.int32]) -> int:
        """Keep a list of neurons of a source; return its offset in `Net.inputs`."""
        return self._inputs.add(neurons * np.int32(TILE_ROWS))

    def finish(self, outputs: Slot) -> Packed:
        """The packed network whose outputs are in this slot."""
        if self._marks is not None:
            self.add(SPOIL, self._marks, outputs)
        usual = USUAL[self.dtype]
        others = {operation for operation, _ in self._steps} - {*usual}
        operations = (*usual, *sorted(others, key=lambda operation: operation.name))
        offsets, floats = plan([*(cells for _, cells in self._steps), (outputs,)])
        program = np.zeros((len(self._steps) + 1, COLUMNS), np.int64)
        for row, (operation, cells) in zip(program, self._steps, strict=False):
            row[0] = operations.index(operation)
            row[1 : 1 + len(cells)] = [
                offsets.get(cell, 0) if isinstance(cell, Slot) else cell for cell in cells
            ]
        program[-1, SOURCE], program[-1, OUTPUTS], program[-1, FEATURES] = (
            offsets[outputs], outputs.neurons, self.rows.neurons,
        )  # fmt: skip
        return Packed(
            features=self.rows.neurons,
            outputs=outputs.neurons,
            dtype=self.dtype,
            operations=operations,
            program=program,
            weights=self._weights.joined(),
            factors=self._factors.joined(),
            inputs=self._inputs.joined(),
            planes=self.planes,
            floats=floats,
            ints=self._ints,
        )


def plan(steps: Sequence[Sequence[Slot | int]]) -> tuple[dict[Slot, int], int]:
    """Offsets of slots in one array, in float32, and its length: no two overlap that are needed at the same time.

    A slot is needed from the first step that names it to the last. The largest takes the lowest offset that is free
    all that time, then the next largest.
    """
    spans: dict[Slot, tuple[int, int]] = {}
    for number, cells in enumerate(steps):
        for cell in cells:
            if isinstance(cell, Slot) and cell.size:
                spans[cell] = spans.get(cell, (number, 0))[0], number
    ends: dict[Slot, tuple[int, int]] = {}
    for slot in sorted(spans, key=lambda one: (-one.size, spans[one])):
        begin = 0
        for other_begin, other_end in sorted(
            ends[other] for other in ends if _overlap(spans[slot], spans[other])
        ):
            if begin + slot.size * TILE_ROWS <= other_begin:
                break
            begin = max(begin, other_end)
        ends[slot] = begin, begin + slot.size * TILE_ROWS
    return {slot: begin for slot, (begin, _) in ends.items()}, max(end for _, end in ends.values())


def _overlap(one: tuple[int, int], two: tuple[int, int]) -> bool:
    return one[0] <= two[1] and two[0] <= one[1]


def aligned(flat: NDArray[Any]) -> NDArray[Any]:
    """A copy that starts at a multiple of 64 bytes, as whole cache lines and tile registers want it."""
    room = np.empty(flat.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    out = room[start : start + flat.nbytes].view(flat.dtype)
    out[:] = flat
    return out
